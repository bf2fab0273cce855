"""When is a verification due, and from which store shall it read? (pure)

At least one in seven reads a copy, and a copy is read at least weekly: what nobody ever restored
from is no second store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Turn", "due_at", "next_store", "turns_of"]

_EARLY = 0.1
"""A daily job may start a little sooner than the day before: a tenth counts as due."""

_ONE_IN = 7
_WEEK = 7 * 86400.0


@dataclass(frozen=True)
class Turn:
    """One verification that was deep enough. `at` is Unix seconds."""

    store: str
    at: float
    passed: bool
    id: str = ""


def turns_of(records: Sequence[Mapping[str, Any]], level: int) -> tuple[Turn, ...]:
    """From the fact's records, oldest first; shallower ones do not count, unless they failed."""
    found = (
        Turn(str(r["store"]), float(r["at"]), bool(r["passed"]), str(r["id"]))
        for r in records
        if int(r["level"]) >= level or not r["passed"]
    )
    return tuple(sorted(found, key=lambda turn: turn.at))


def due_at(turns: Sequence[Turn], every: float, now: float) -> float:
    """When the next one is due; a failed one is tried again at once. Moments to come count as now:
    a clock that was wrong must not put verifications off.
    """
    if not turns or not turns[-1].passed:
        return now
    return min(turns[-1].at, now) + every * (1 - _EARLY)


def next_store(turns: Sequence[Turn], primary: str, copies: Sequence[str], now: float) -> str:
    """The database's own store, or the copy that was read the longest ago."""
    if not copies or not turns:
        return primary
    last = {name: max((t.at for t in turns if t.store == name), default=0.0) for name in copies}
    recent = turns[-(_ONE_IN - 1) :]
    of_copies = [turn for turn in recent if turn.store in last]
    if of_copies and now - max(last.values()) < _WEEK:
        return primary
    if turns[-1].store in last and turns[-1].at > now - _WEEK:
        return primary
    return min(copies, key=lambda name: (last[name], copies.index(name)))
