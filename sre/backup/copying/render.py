"""How does a copy look, to people and to programs? (pure)"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sre.backup.copying.records import Passed
from sre.backup.layout import stamp
from sre.backup.render import size_text
from sre.core.units import format_duration

__all__ = ["copies_as_json", "copies_as_text"]


def copies_as_json(passes: Sequence[Passed]) -> str:
    """`sre.copies/1`."""
    content = {"schema": "sre.copies/1", "copies": [_entry(each) for each in passes]}
    return json.dumps(content, indent=2)


def copies_as_text(passes: Sequence[Passed]) -> str:
    """One paragraph for each database and store."""
    return "\n".join(line for each in passes for line in _lines(each))


def _entry(each: Passed) -> dict[str, Any]:
    return {
        "db": each.db,
        "from": each.source,
        "to": each.target,
        "at": stamp(each.at),
        "dry_run": each.dry_run,
        "backups": [
            {
                "id": one.id,
                "kind": one.kind,
                "state": one.state,
                "bytes": one.bytes,
                "problem": None if one.problem is None else asdict(one.problem),
            }
            for one in each.backups
        ],
        "log": {"objects": each.log_objects, "bytes": each.log_bytes},
        "verifications": each.beside,
        "marks": each.marks,
        "audit_records": each.audit,
        "still_open": list(each.still_open),
        "lag_seconds": round(each.lag_seconds, 3),
        "missing_objects": each.missing_objects,
        "newest": each.newest or None,
        "consistent": None if each.consistent is None else stamp(each.consistent),
        "problems": [asdict(one) for one in each.faults],
    }


def _lines(each: Passed) -> list[str]:
    there = sum(one.state == "there" for one in each.backups)
    moved = [one for one in each.backups if one.state in {"copied", "healed", "waiting"}]
    word = "to copy" if each.dry_run else "copied"
    log = "" if each.dry_run else f" ({size_text(each.log_bytes)})"
    late = f"{format_duration(each.lag_seconds)} behind" if each.missing_objects else "complete"
    lines = [
        f"{each.db}: {each.source} -> {each.target}: {len(moved)} {word}, {there} there already, "
        f"{each.log_objects} pieces of log{log}, {late}"
    ]
    lines += [f"  {one.id}  {one.state}  {size_text(one.bytes)}" for one in moved]
    lines += [
        f"  beware: {id_} is shredded, but its keys still stand in {each.target}: "
        f"sre backup keys shred {id_} --everywhere --reason …"
        for id_ in each.still_open
    ]
    return lines + [f"  problem: {one.object}: {one.problem}" for one in each.faults]
