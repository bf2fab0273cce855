"""What happened so far? Counters, histograms and last readings of every probe, safe to share.

Identity is the name: a probe that a reload leaves or changes keeps its counters (a changed address
is still the same promise), one that a reload removes is forgotten at once.
"""

from __future__ import annotations

import bisect
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sre.journey.result import Outcome, Reason, StepResult
from sre.probes.model import GOOD, Check, Gauge, Reading
from sre.probes.plan import Plan
from sre.probes.runner import Result

__all__ = [
    "BUCKETS",
    "STALE_AFTER",
    "Attempts",
    "Histogram",
    "JourneySeries",
    "ProbeSeries",
    "Record",
]

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Default histogram edges, seconds."""

STALE_AFTER = 3
"""Intervals without a finished run after which a probe's gauges are no longer shown."""

MAX_GAUGES = 200
"""Samples that one run of a probe may export; more are dropped and counted."""


class Histogram:
    """Durations in cumulative buckets."""

    def __init__(self, edges: Iterable[float] = ()) -> None:
        self.edges = tuple(sorted({*BUCKETS, *edges}))
        self.counts = [0] * (len(self.edges) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration; an edge belongs to its own bucket."""
        self.counts[bisect.bisect_left(self.edges, seconds)] += 1
        self.sum += seconds

    @property
    def count(self) -> int:
        """All durations so far."""
        return sum(self.counts)


Attempts = Counter[tuple[str, str]]
"""(outcome, reason) -> how many."""


def _attempts() -> Attempts:
    """All at 0: Prometheus cannot see an increase in a series that begins at 1."""
    failures = {(Outcome.FAILED.value, reason.value): 0 for reason in Reason if reason}
    return Counter({(Outcome.OK.value, ""): 0, **failures})


@dataclass
class ProbeSeries:
    """One probe's past.

    Attributes:
        up: the verdict of the last run that had one (ok, degraded or failed through the target),
            and when that was; refused, throttled, blocked and our own failures leave it alone.
        last_run: when the last run ended, seconds since the epoch.
    """

    check: Check
    duration: Histogram
    attempts: Attempts = field(default_factory=_attempts)
    skipped: Counter[str] = field(default_factory=Counter)
    up: tuple[bool, float] | None = None
    last_run: float | None = None
    lag: float | None = None
    result: Result | None = None
    gauges: tuple[Gauge, ...] = ()

    def fresh(self, at: float | None, now: float) -> bool:
        """Whether something of the moment `at` may still be shown."""
        limit = STALE_AFTER * self.check.every + self.check.timeout
        return at is not None and now - at <= limit


@dataclass
class JourneySeries:
    """One journey's steps, whichever probes run it."""

    durations: dict[str, Histogram] = field(default_factory=dict)
    attempts: dict[str, Attempts] = field(default_factory=dict)
    last: tuple[StepResult, ...] = ()
    by: str = ""


class Record:
    """Everything the exporter shows. All methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._plan: Plan | None = None
        self._probes: dict[str, ProbeSeries] = {}
        self._journeys: dict[str, JourneySeries] = {}
        self.dropped = 0
        self.reloaded: tuple[bool, float | None] = (False, None)

    def adopt(self, plan: Plan) -> None:
        """Take over a declaration: forget what it no longer has, keep the rest by name.

        A histogram whose edges change begins anew.
        """
        with self._lock:
            old, self._plan = self._probes, plan
            self._probes = {c.name: self._series(c, old.get(c.name)) for c in plan.checks}
            run = {check.journey for check in plan.checks if check.journey is not None}
            past = self._journeys
            self._journeys = {name: self._steps(name, past.get(name)) for name in sorted(run)}

    def add(self, result: Result, now: float) -> None:
        """A run ended at `now` (seconds since the epoch)."""
        with self._lock:
            series = self._probes.get(result.probe)
            if series is None:
                return
            reading = result.reading
            series.attempts[reading.outcome.value, reading.reason.value] += 1
            series.result, series.last_run = result, now
            if reading.outcome in GOOD:
                series.duration.observe(reading.seconds)
            if reading.outcome in GOOD or _is_down(reading):
                series.up = (reading.outcome in GOOD, now)
            series.gauges = reading.gauges[:MAX_GAUGES]
            self.dropped += max(0, len(reading.gauges) - MAX_GAUGES)
            if reading.journey is not None:
                self._add_steps(reading.journey, result)

    def skip(self, probe: str, reason: str, count: int = 1) -> None:
        """Runs that should have taken place and did not."""
        with self._lock:
            if probe in self._probes:
                self._probes[probe].skipped[reason] += count

    def lag(self, probe: str, seconds: float) -> None:
        """A run started this much later than its slot."""
        with self._lock:
            if probe in self._probes:
                self._probes[probe].lag = seconds

    @contextmanager
    def reading(self) -> Iterator[tuple[dict[str, ProbeSeries], dict[str, JourneySeries]]]:
        """Everything, held still while it is read."""
        with self._lock:
            yield self._probes, self._journeys

    def _series(self, check: Check, old: ProbeSeries | None) -> ProbeSeries:
        duration = Histogram(self._plan.edges.get(check.name, ()) if self._plan else ())
        if old is None:
            return ProbeSeries(check, duration)
        old.check = check
        if old.duration.edges != duration.edges:
            old.duration = duration
        return old

    def _steps(self, journey: str, old: JourneySeries | None) -> JourneySeries:
        """The series of a journey: every step from the beginning, those from before kept."""
        old, new = old or JourneySeries(), JourneySeries()
        known = self._plan.journeys[journey].all_steps if self._plan else ()
        new.by = old.by
        for step in known:
            before = old.durations.get(step.name)
            fresh = Histogram(self._step_edges(journey, step.name))
            same = before is not None and before.edges == fresh.edges
            new.durations[step.name] = before if before is not None and same else fresh
            new.attempts[step.name] = old.attempts.get(step.name) or _attempts()
        new.last = tuple(step for step in old.last if step.name in new.attempts)
        return new

    def _step_edges(self, journey: str, step: str) -> tuple[float, ...]:
        return self._plan.step_edges.get(f"{journey}/{step}", ()) if self._plan else ()

    def _add_steps(self, journey: str, result: Result) -> None:
        series = self._journeys.get(journey)
        if series is None:
            return
        steps = [step for step in result.reading.steps if step.name in series.attempts]
        series.last, series.by = tuple(steps), result.probe
        for step in steps:
            series.attempts[step.name][step.outcome.value, step.reason.value] += 1
            if step.outcome in GOOD:
                series.durations[step.name].observe(step.seconds)


def _is_down(reading: Reading) -> bool:
    return reading.outcome is Outcome.FAILED and not reading.is_prober
