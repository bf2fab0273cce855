"""What is remembered of one probe, and of the steps of one journey?

Small on purpose: there may be ten thousand of them. Counters that never counted take no room and
are shown as 0 all the same.
"""

from __future__ import annotations

import bisect
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeVar

from sre.journey.result import Outcome, Reason, StepResult
from sre.probes.model import Check, Gauge
from sre.probes.runner import Result

__all__ = [
    "BUCKETS",
    "KNOWN_ATTEMPTS",
    "STALE_AFTER",
    "Attempts",
    "Histogram",
    "JourneySeries",
    "ProbeSeries",
    "Tally",
    "confirmations_of",
    "skips_of",
]

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Default histogram edges, seconds."""

STALE_AFTER = 3
"""Intervals without a finished run after which a probe's gauges are no longer shown."""

K = TypeVar("K")


class Tally(dict[K, int]):
    """How often each key came; one that never came is 0 and takes no room."""

    __slots__ = ()

    def __missing__(self, _key: K) -> int:
        return 0


Attempts = Tally[tuple[str, str]]
"""(outcome, reason) -> how many."""

KNOWN_ATTEMPTS: tuple[tuple[str, str], ...] = (
    (Outcome.OK.value, ""),
    *((Outcome.FAILED.value, reason.value) for reason in Reason if reason),
)
"""Shown from the start: Prometheus cannot see an increase in a series that begins at 1."""

_SKIPS = ("overrun", "late", "budget")
_CONFIRMATIONS = ("down", "recovered")


def skips_of(check: Check) -> tuple[str, ...]:
    """Why a run of it may not take place; `budget` only where there is one."""
    return _SKIPS if check.orders else _SKIPS[:-1]


def confirmations_of(check: Check) -> tuple[str, ...]:
    """How a failure of it may end that further attempts are to confirm."""
    return _CONFIRMATIONS if check.retry is not None else ()


class Histogram:
    """Durations in cumulative buckets."""

    __slots__ = ("counts", "edges", "sum")

    def __init__(self, edges: Iterable[float] = ()) -> None:
        self.edges = _edges(tuple(edges))
        self.counts = array("Q", bytes(8 * (len(self.edges) + 1)))
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration; an edge belongs to its own bucket."""
        self.counts[bisect.bisect_left(self.edges, seconds)] += 1
        self.sum += seconds

    def copy(self) -> Histogram:
        """The same numbers, apart from now on."""
        twin = Histogram.__new__(Histogram)
        twin.edges, twin.counts, twin.sum = self.edges, self.counts[:], self.sum
        return twin

    @property
    def count(self) -> int:
        """All durations so far."""
        return sum(self.counts)


@lru_cache(maxsize=1024)
def _edges(further: tuple[float, ...]) -> tuple[float, ...]:
    """One tuple for all histograms with the same edges."""
    return tuple(sorted({*BUCKETS, *further}))


@dataclass(slots=True)
class ProbeSeries:
    """One probe's past.

    Attributes:
        confirmed: by the words of `confirmations_of`.
        up: the verdict of the last run that had one (ok, degraded or failed through the target),
            and when that was; refused, throttled, blocked and our own failures leave it alone.
        last_run: when the last run ended, seconds since the epoch.
        dropped: samples beyond the limits, so far.
        version: another number after each change.
    """

    check: Check
    duration: Histogram
    attempts: Attempts = field(default_factory=Tally)
    skipped: Tally[str] = field(default_factory=Tally)
    confirmed: Tally[str] = field(default_factory=Tally)
    up: tuple[bool, float] | None = None
    last_run: float | None = None
    lag: float | None = None
    result: Result | None = None
    gauges: tuple[Gauge, ...] = ()
    dropped: int = 0
    version: int = 0

    def until(self, at: float | None) -> float:
        """How long something of the moment `at` may be shown; the far past when never."""
        limit = STALE_AFTER * self.check.every + self.check.timeout
        return float("-inf") if at is None else at + limit

    def copy(self) -> ProbeSeries:
        """The same numbers, apart from now on."""
        return ProbeSeries(
            self.check,
            self.duration.copy(),
            Tally(self.attempts),
            Tally(self.skipped),
            Tally(self.confirmed),
            self.up,
            self.last_run,
            self.lag,
            self.result,
            self.gauges,
            self.dropped,
            self.version,
        )

    def fresh(self, at: float | None, now: float) -> bool:
        """Whether something of the moment `at` may still be shown."""
        return now <= self.until(at)


@dataclass(slots=True)
class JourneySeries:
    """One journey's steps, whichever probes run it."""

    durations: dict[str, Histogram] = field(default_factory=dict)
    attempts: dict[str, Attempts] = field(default_factory=dict)
    last: tuple[StepResult, ...] = ()
    by: str = ""
    version: int = 0

    def copy(self) -> JourneySeries:
        """The same numbers, apart from now on."""
        durations = {step: one.copy() for step, one in self.durations.items()}
        attempts: dict[str, Attempts] = {step: Tally(one) for step, one in self.attempts.items()}
        return JourneySeries(durations, attempts, self.last, self.by, self.version)
