"""How does a plan look, to people and to programs? (pure)"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from sre.backup.layout import stamp
from sre.backup.render import size_text
from sre.backup.scheduling.promises import Planned
from sre.core.units import format_duration

__all__ = ["plans_as_json", "plans_as_text"]


def plans_as_json(plans: Sequence[Planned]) -> str:
    """`sre.backup-plan/1`."""
    content = {"schema": "sre.backup-plan/1", "databases": [_entry(each) for each in plans]}
    return json.dumps(content, indent=2)


def plans_as_text(plans: Sequence[Planned]) -> str:
    """Database by database."""
    return "\n".join(line for each in plans for line in _lines(each)) or "no databases"


def _entry(each: Planned) -> dict[str, Any]:
    return {
        "db": each.db,
        "tier": each.tier,
        "exit_code": each.exit_code,
        "promises": [asdict(promise) for promise in each.promises],
        "next": {what: stamp(at) for what, at in each.next.items()},
        "backups": each.backups,
        "stored_bytes": each.stored_bytes,
        "added_bytes_30d": each.added_bytes,
        "problem": each.problem,
        "notes": list(each.notes),
    }


def _lines(each: Planned) -> Iterator[str]:
    yield f"{each.db} (tier {each.tier or 'none'})"
    for one in each.promises:
        measured = "never measured" if one.measured is None else format_duration(one.measured)
        target = format_duration(one.target)
        yield f"  {one.what.upper()} {one.state:<9}{measured}, promised {target} ({one.why})"
    for what, at in sorted(each.next.items(), key=lambda item: item[1]):
        yield f"  next {what:<13} {stamp(at)}"
    text = f"  {each.backups} backups, {size_text(each.stored_bytes)} stored"
    if each.added_bytes is not None:
        text += f"; about {size_text(each.added_bytes)} more in 30 days, before retention"
    yield text
    if each.problem:
        yield f"  problem: {each.problem}"
    yield from (f"  note: {note}" for note in each.notes)
