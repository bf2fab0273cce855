"""How do backups and verifications look, to people and to programs? (pure)"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sre.backup.layout import stamp
from sre.backup.manifest import Manifest
from sre.backup.records import Backup, Fault, Verification
from sre.core.console import table
from sre.core.units import format_duration

__all__ = [
    "backup_as_json",
    "backup_as_text",
    "list_as_json",
    "list_as_text",
    "size_text",
    "verification_as_json",
    "verification_as_text",
]


def list_as_json(backups: Sequence[Backup], faults: Sequence[Fault]) -> str:
    """`sre.backups/1`."""
    return _document(
        "sre.backups/1",
        backups=[_entry(each) for each in backups],
        problems=[_fault(each) for each in faults],
    )


def list_as_text(backups: Sequence[Backup], faults: Sequence[Fault]) -> str:
    """A table, oldest first; what does not count stands below it."""
    columns = ("BACKUP", "DATABASE", "FINISHED", "SOURCE", "STORED", "VERIFIED")
    rows = [
        (
            each.id,
            each.db,
            stamp(each.finished),
            size_text(each.source_bytes),
            size_text(each.stored_bytes),
            _verified(each),
        )
        for each in backups
    ]
    text = table(columns, rows, right=("SOURCE", "STORED")).rstrip("\n") if rows else "no backups"
    return "\n".join([text, *_fault_lines("not counted", faults)])


def backup_as_json(manifest: Manifest, backup: Backup) -> str:
    """`sre.backup/1`: what a list says of it, and its manifest."""
    return _document("sre.backup/1", **_entry(backup), manifest=asdict(manifest))


def backup_as_text(manifest: Manifest, backup: Backup) -> str:
    """One backup, line by line."""
    log = manifest.dump
    lines = {
        "backup": manifest.id,
        "kind": _kind(manifest),
        "database": f"{manifest.db} ({manifest.engine} {manifest.version})",
        "finished": f"{stamp(manifest.finished)}, after "
        + format_duration(manifest.finished - manifest.started),
        "restores to": stamp(manifest.consistent),
        "log": f"{log.get('start_lsn', '?')} to {log.get('stop_lsn', '?')}, "
        f"timeline {log.get('timeline', '?')}",
        "source": size_text(manifest.source_bytes),
        "stored": f"{size_text(manifest.stored_bytes)} in {_volumes(len(manifest.volumes))}",
        "where": manifest.where.folder,
        "key": manifest.key,
        "opened by": ", ".join(manifest.recipients),
        "verified": _verified(backup),
    }
    lines |= _whence(log)
    if backup.shredded or backup.quarantined or backup.spoiled_by:
        lines["beware"] = backup.shredded or backup.quarantined or f"it {backup.spoiled_by}"
    return "\n".join(f"{name + ':':<13}{value}" for name, value in lines.items())


def _whence(told: Mapping[str, Any]) -> dict[str, str]:
    """From whom it was copied, where there was a choice, and who keeps it, if not we."""
    lines = dict[str, str]()
    if "copied_from" in told:
        lag, why = told.get("lag_seconds"), told.get("not_from_replica")
        more = f", {lag:g} s behind its primary" if lag is not None else ""
        lines["copied from"] = (
            told["copied_from"] + more + (f", because the replica: {why}" if why else "")
        )
    if "kept_by" in told:
        lines["kept by"] = f"{told['kept_by']}, as {told['label']} of stanza {told['stanza']}"
    return lines


def _kind(manifest: Manifest) -> str:
    if manifest.parent is not None:
        return f"{manifest.kind}, on {manifest.parent}"
    because = manifest.dump.get("full_because")
    return f"{manifest.kind}, because {because}" if because else manifest.kind


def verification_as_json(found: Verification) -> str:
    """`sre.verification/1`."""
    return _document(
        "sre.verification/1",
        id=found.id,
        db=found.db,
        level=found.level,
        passed=found.passed,
        at=stamp(found.at),
        phases=dict(found.phases),
        rto_seconds=found.rto_seconds,
        rpo_seconds=found.rpo_seconds,
        store=found.store,
        replay=None if found.replay is None else asdict(found.replay),
        invariants=[asdict(each) for each in found.invariants],
        problems=[_fault(each) for each in (*found.faults, *found.failures)],
        notes=list(found.notes),
    )


def verification_as_text(found: Verification) -> str:
    """The verdict, the times, and all that is wrong."""
    verdict = "passed" if found.passed else "FAILED"
    lines = [f"{found.id} in {found.store}: level {found.level} {verdict}"]
    lines += [f"  {name:<12} {format_duration(took):>9}" for name, took in found.phases.items()]
    if found.rto_seconds is not None:
        lines.append(f"  {'RTO':<12} {format_duration(found.rto_seconds):>9}")
    if found.rpo_seconds is not None:
        lines.append(f"  {'RPO':<12} {format_duration(found.rpo_seconds):>9}")
    lines += [
        f"  invariant {each.name}: {each.value} ({each.expected}) {'ok' if each.passed else 'BAD'}"
        for each in found.invariants
    ]
    lines += _fault_lines("problem", (*found.faults, *found.failures))
    return "\n".join([*lines, *(f"  note: {each}" for each in found.notes)])


def _document(schema: str, **content: Any) -> str:
    return json.dumps({"schema": schema, **content}, indent=2)


def _entry(backup: Backup) -> dict[str, Any]:
    verified = backup.verified
    return {
        "id": backup.id,
        "db": backup.db,
        "kind": backup.kind,
        "parent": backup.parent,
        "tier": backup.tier,
        "started": stamp(backup.started),
        "finished": stamp(backup.finished),
        "source_bytes": backup.source_bytes,
        "stored_bytes": backup.stored_bytes,
        "volumes": backup.volumes,
        "verified": None if verified is None else {**asdict(verified), "at": stamp(verified.at)},
        "held": backup.held,
        "locked_until": None if backup.locked_until is None else stamp(backup.locked_until),
        "quarantined": backup.quarantined,
        "shredded": backup.shredded,
        "spoiled_by": None if backup.spoiled_by is None else asdict(backup.spoiled_by),
    }


def _fault(fault: Fault) -> dict[str, str]:
    return {"object": fault.object, "problem": fault.problem}


def _fault_lines(label: str, faults: Sequence[Fault]) -> list[str]:
    return [f"  {label}: {each.object}: {each.problem}" for each in faults]


def _verified(backup: Backup) -> str:
    if backup.shredded is not None:
        return backup.shredded.partition(": ")[0].upper()
    if backup.quarantined is not None:
        return backup.quarantined.partition(": ")[0].upper()
    if backup.spoiled_by is not None:
        return str(backup.spoiled_by)
    if backup.verified is None:
        return "never"
    return f"level {backup.verified.level}, {stamp(backup.verified.at)}"


def size_text(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def _volumes(count: int) -> str:
    return "1 volume" if count == 1 else f"{count} volumes"
