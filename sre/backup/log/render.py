"""How is the state of a database's log shown?"""

from __future__ import annotations

import json
from typing import Any

from sre.backup.layout import stamp
from sre.backup.log.coverage import Gap
from sre.backup.log.lsn import format_lsn
from sre.backup.log.states import Stretch
from sre.backup.log.status import LogStatus
from sre.backup.log.survey import Window
from sre.core.units import format_duration

__all__ = ["status_as_json", "status_as_text"]


def status_as_json(found: LogStatus) -> str:
    """`sre.archive/1`."""
    content: dict[str, Any] = {
        "schema": "sre.archive/1",
        "db": found.db,
        "server": found.place,
        "server_problem": found.server or None,
        "good": found.good,
        "full_needed": found.full_needed,
        "timeline": found.timeline,
        "stored_lsn": _lsn(found.stored),
        "server_lsn": _lsn(found.current),
        "lag_bytes": found.lag_bytes,
        "rpo_seconds": found.rpo_seconds,
        "rpo_target_seconds": found.rpo_target,
        "archiver": found.archiver or None,
        "archiver_problem": found.problem or None,
        "slot": None if found.slot is None else {
            "name": found.slot_name,
            "wal_status": found.slot.status,
            "restart_lsn": _lsn(found.slot.restart),
        },
        "windows": [_window(each) for each in found.windows],
        "gaps": [_stretch(each) for each in found.gaps],
        "segments": [{"state": each.state, **_stretch(each)} for each in found.states],
    }  # fmt: skip
    return json.dumps(content, indent=2)


def _window(each: Window) -> dict[str, Any]:
    return {
        "backup": each.base.manifest.id,
        "from": stamp(each.since),
        "to": stamp(each.until),
        "from_lsn": _lsn(each.base.stop),
        "to_lsn": _lsn(max(each.cover.end, each.base.stop)),
        "timeline": each.cover.way.timeline,
        "complete": each.cover.whole,
    }


def _stretch(each: Gap | Stretch) -> dict[str, Any]:
    return {
        "timeline": each.timeline,
        "first": each.first,
        "last": each.last,
        "segments": each.segments,
        "from_lsn": _lsn(each.begin),
        "to_lsn": _lsn(each.end),
    }


def status_as_text(found: LogStatus) -> str:
    """For people."""
    lines = [f"{found.db}  server {found.place}  timeline {found.timeline}"]
    if found.server:
        lines.append(f"  the server cannot be asked: {found.server}")
    behind = "" if found.lag_bytes is None else f", {found.lag_bytes} bytes behind"
    lines.append(f"  stored to  {_lsn(found.stored) or 'nothing'}{behind}")
    lines.append(f"  archiver   {_archiver(found)}")
    lines.append(f"  slot       {_slot(found)}")
    lines += [
        f"  restorable {each.base.manifest.id}: {stamp(each.since)} to {stamp(each.until)}, "
        f"{_lsn(each.base.stop)} to {_lsn(max(each.cover.end, each.base.stop))}"
        for each in found.windows
    ]
    lines += [f"  {each.state:<10} {_names(each)}" for each in found.states]
    lines += [
        f"  gap        {_lsn(gap.begin)} to {_lsn(gap.end)}, {gap.segments} segments"
        for gap in found.gaps
    ]
    if found.full_needed:
        lines.append(f"  {_needed(found)}")
    return "\n".join(lines)


def _needed(found: LogStatus) -> str:
    if found.stored is None:
        return f"no log is stored yet; start: sre backup archive {found.db}"
    if found.gaps and not found.problem and found.archiver in {"following", "behind"}:
        return (
            "log is missing: the archiver asks the server for it every five minutes; where that "
            f"has it no more it is lost: take a full backup: sre backup run {found.db}"
        )
    why = "log is missing" if found.gaps else "there is no backup that the log continues"
    return f"{why}: take a full backup: sre backup run {found.db}"


def _archiver(found: LogStatus) -> str:
    if not found.archiver:
        return "none has run on this host"
    words = found.archiver + (f": {found.problem}" if found.problem else "")
    if found.rpo_seconds is not None:
        words += f", newest stored moment {format_duration(round(found.rpo_seconds))} old"
        if found.misses_rpo:
            words += f", more than the tier's rpo of {format_duration(found.rpo_target)}"
    return words


def _slot(found: LogStatus) -> str:
    if found.slot is None:
        return f"{found.slot_name} " + ("not known" if found.server else "is not there")
    words = f"{found.slot_name} {found.slot.status}"
    if found.slot.status in {"lost", "unreserved"}:
        words += ": the server removes log before it is stored (max_slot_wal_keep_size)"
    return words


def _names(each: Stretch) -> str:
    names = each.first if each.segments == 1 else f"{each.first} … {each.last}"
    return f"{names} ({each.segments})"


def _lsn(position: int | None) -> str | None:
    return None if position is None else format_lsn(position)
