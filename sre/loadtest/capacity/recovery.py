"""When did the shop serve well again after it had been overloaded? (pure, but for the watcher)

A shop may stay broken long after the rush is over: retries, full queues, locks. So after each level
that broke, customers come at a level that it had held, and the first five seconds count in which
95 % of those who came were served within the limit: that of the journey's own threshold, else a
fifth above what it took at that level before.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from sre.core.clock import Clock
from sre.loadtest.book import Book
from sre.loadtest.crew.model import Live
from sre.loadtest.job import Job
from sre.loadtest.judge.report import Report

__all__ = ["WINDOW", "Recovery", "RecoveryWatch", "back_at", "limits_of", "slot_of"]

WINDOW = 5.0
_SHARE = 0.95
_ALLOWANCE = 1.2
_ROOM = 0.010
_BUCKET = 1.01


@dataclass(frozen=True)
class Recovery:
    """How the shop came back.

    Attributes:
        seconds: from the last customer of the level that broke to the first good five seconds;
            None: it did not come back in time.
        at_most: it was good at once, as soon as somebody looked.
        level: the share of the mix at which it was looked at.
        waited: how long was waited for it.
    """

    seconds: float | None
    at_most: bool
    level: float
    waited: float

    @property
    def words(self) -> str:
        """For a column of a table."""
        if self.seconds is None:
            return f"not within {self.waited:.0f} s"
        return f"{'at most ' if self.at_most else ''}{self.seconds:.0f} s"


def limits_of(job: Job, base: Report | None) -> dict[str, float]:
    """Seconds within which 95 % of each journey must be served; journeys without one are left out.

    Args:
        base: of a level that held.
    """
    limits: dict[str, float] = {}
    for threshold, target in job.thresholds:
        upper = threshold.op in ("<", "<=")
        if target.kind == "journey" and threshold.series == "response" and upper:
            limits[target.journey] = min(threshold.limit, limits.get(target.journey, math.inf))
    for part in base.journeys if base is not None else ():
        took = part.series.response.quantile(_SHARE)
        if part.label not in limits and took is not None:
            limits[part.label] = max(took * _ALLOWANCE, took + _ROOM)
    return limits


def slot_of(seconds: float) -> float:
    """Seconds of a point of the time series of a run that lasts so long; as the runner has it."""
    return float(max(1, -(-int(seconds) // 240)))


def back_at(
    due: Mapping[tuple[str, int], int], book: Book, slot: float, limits: Mapping[str, float]
) -> float | None:
    """The start of the first good window, in seconds from the start of the run; None: none yet.

    Args:
        due: (journey, slot) -> customers who are due in it.
    """
    width = max(1, math.ceil(WINDOW / slot))
    last = max((at for _, at in due), default=-1)
    for start in range(last - width + 2):
        slots = range(start, start + width)
        came = any(due.get((name, at)) for name in limits for at in slots)
        if came and all(_is_good(n, slots, due, book, limit) for n, limit in limits.items()):
            return start * slot
    return None


def _is_good(
    journey: str,
    slots: range,
    due: Mapping[tuple[str, int], int],
    book: Book,
    limit: float,
) -> bool:
    came = sum(due.get((journey, at), 0) for at in slots)
    served = sum(
        book.slots[journey, at].response.good.up_to(limit * _BUCKET)
        for at in slots
        if (journey, at) in book.slots
    )
    return served >= math.ceil(_SHARE * came - 1e-9)


class RecoveryWatch:
    """Ends the run at the base level as soon as the shop is back (a Watcher)."""

    WORDS = "the shop serves well again"

    def __init__(self, job: Job, limits: Mapping[str, float], clock: Clock) -> None:
        self._limits, self._clock = limits, clock
        self._slot = slot_of(job.shape.seconds)
        self._due = Counter((a.journey, int(a.due / self._slot)) for a in job.arrivals)
        self.begin: float | None = None

    def look(self, live: Live) -> str | None:
        """As Watcher.look."""
        if self.begin is None:
            self.begin = self._clock.now() - live.at
        return None if self.back(live.book) is None else self.WORDS

    def back(self, book: Book) -> float | None:
        """When the shop was back, in seconds from the start of this run."""
        return back_at(self._due, book, self._slot, self._limits)
