"""When is which probe due, and what becomes of a run that is late?

Pure: times come in as numbers (seconds since the epoch, on a clock that never jumps) and decisions
go out. Slots are whole multiples of the interval plus an offset from the probe's name, so they
never drift, they are the same after a restart and on every machine, and probes spread evenly.
"""

from __future__ import annotations

import hashlib
import heapq
import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from sre.probes.model import Check

__all__ = ["Due", "Skip", "Timetable", "decide", "next_due", "offset_of"]

_EAGER = 60.0
_TOO_LATE = 0.5


class Skip(StrEnum):
    """Why a run did not take place. Bounded: it becomes a label."""

    OVERRUN = "overrun"
    LATE = "late"
    BUDGET = "budget"


@dataclass(frozen=True, slots=True)
class Due:
    """One slot of one probe.

    Attributes:
        at: when it should start.
        missed: further slots that had already gone by when it was noticed.
        further: it is no slot of the schedule, but is to confirm a failure.
    """

    check: Check
    at: float
    missed: int = 0
    further: bool = False


@lru_cache(maxsize=65536)
def offset_of(name: str, every: float) -> float:
    """Seconds into each interval at which this probe runs; the same everywhere, 0 to `every`."""
    digest = hashlib.sha256(name.encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 * every


def next_due(after: float, every: float, offset: float) -> float:
    """The first slot that is later than `after`."""
    due = offset + (math.floor((after - offset) / every) + 1) * every
    return due if due > after else due + every


def decide(due: Due, now: float, *, running: bool, affordable: bool) -> Skip | None:
    """Whether a slot is used (None) or skipped, and why.

    More than half an interval late is too late: two runs would follow each other back to back.
    """
    if running:
        return Skip.OVERRUN
    if now - due.at > due.check.every * _TOO_LATE:
        return Skip.LATE
    return None if affordable else Skip.BUDGET


class Timetable:
    """The next slot of every probe.

    Args:
        now: where the first slots are searched from.
        known: names that have run before; others start within a minute even when their interval
            is longer, except those with side effects.
    """

    def __init__(self, checks: Iterable[Check], now: float, known: frozenset[str] = frozenset()):
        self._heap: list[tuple[float, str]] = []
        self._checks = {check.name: check for check in checks}
        for check in self._checks.values():
            wait = check.every
            if not check.orders and check.name not in known:
                wait = min(check.every, _EAGER)
            due = next_due(now, wait, offset_of(check.name, wait))
            heapq.heappush(self._heap, (due, check.name))

    def next_wake(self) -> float | None:
        """When the next probe is due; None when there are no probes."""
        return self._heap[0][0] if self._heap else None

    def take(self, now: float) -> list[Due]:
        """Every slot that has come, oldest first; each probe at most once."""
        due = []
        while self._heap and self._heap[0][0] <= now:
            at, name = heapq.heappop(self._heap)
            check = self._checks[name]
            following = next_due(now, check.every, offset_of(name, check.every))
            heapq.heappush(self._heap, (following, name))
            due.append(Due(check, at, math.floor((now - at) / check.every)))
        return due
