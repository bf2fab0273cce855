"""What happened so far? Counters, histograms and last readings of every probe, safe to share.

Identity is the name: a probe that a reload leaves or changes keeps its counters (a changed address
is still the same promise), one that a reload removes is forgotten at once. Readers copy one series
at a time: nobody who records a run waits for a whole scrape.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from sre.journey.result import Outcome, Reason
from sre.probes.model import GOOD, Check, Gauge
from sre.probes.plan import Plan
from sre.probes.runner import Result
from sre.probes.series import STALE_AFTER, Attempts, Histogram, JourneySeries, ProbeSeries
from sre.probes.watching import WatchOptions

__all__ = ["STALE_AFTER", "Attempts", "Histogram", "JourneySeries", "ProbeSeries", "Record"]


@lru_cache(maxsize=1024)
def _words(outcome: Outcome, reason: Reason) -> tuple[str, str]:
    return outcome.value, reason.value


class Record:
    """Everything the exporter shows. All methods may be called from any thread.

    Attributes:
        reloaded: whether the last reading of sre.yaml succeeded, and when one last did.
        web_config: the same for the file of `--web.config.file`; None without such a file.
        gate_up: whether the own network worked when it was last looked at; None without a gate.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._plan: Plan | None = None
        self._options = WatchOptions()
        self._probes: dict[str, ProbeSeries] = {}
        self._journeys: dict[str, JourneySeries] = {}
        self._gauges = 0
        self.reloaded: tuple[bool, float | None] = (False, None)
        self.web_config: bool | None = None
        self.gate_up: bool | None = None

    @property
    def plan(self) -> Plan | None:
        """What was adopted last."""
        return self._plan

    def adopt(self, plan: Plan) -> None:
        """Take over a declaration: forget what it no longer has, keep the rest by name.

        A histogram whose edges change begins anew.
        """
        with self._lock:
            old, self._plan, self._options = self._probes, plan, plan.watch
            self._probes = {c.name: self._series(c, old.get(c.name)) for c in plan.checks}
            for series in self._probes.values():
                series.gauges = (*series.gauges,)  # another object: the limits may have changed
            self._gauges = sum(len(series.gauges) for series in self._probes.values())
            run = {check.journey for check in plan.checks if check.journey is not None}
            past = self._journeys
            self._journeys = {name: self._steps(name, past.get(name)) for name in sorted(run)}

    def add(self, result: Result, now: float, *, decides: bool = True) -> None:
        """A run ended at `now` (seconds since the epoch).

        A failure that does not decide is an event like any other, but the probe is not down yet:
        `confirm` says so once further attempts have failed too.
        """
        with self._lock:
            series = self._probes.get(result.probe)
            if series is None:
                return
            reading = result.reading
            series.version += 1
            good = reading.outcome in GOOD
            series.attempts[_words(reading.outcome, reading.reason)] += 1
            series.result, series.last_run = result, now
            if good:
                series.duration.observe(reading.seconds)
            if good or (decides and reading.is_down):
                series.up = (good, now)
            if reading.gauges is not series.gauges:  # runs with the same numbers share them
                self._keep(series, reading.gauges)
            if reading.journey is not None:
                self._add_steps(reading.journey, result)

    def confirm(self, probe: str, now: float, *, down: bool) -> None:
        """Further attempts after a failure said whether the probe is really down."""
        with self._lock:
            if (series := self._probes.get(probe)) is not None:
                series.version += 1
                series.confirmed["down" if down else "recovered"] += 1
                series.up = (not down, now)

    def skip(self, probe: str, reason: str, count: int = 1) -> None:
        """Runs that should have taken place and did not."""
        with self._lock:
            if (series := self._probes.get(probe)) is not None:
                series.version += 1
                series.skipped[reason] += count

    def lag(self, probe: str, seconds: float) -> None:
        """A run started this much later than its slot."""
        with self._lock:
            if (series := self._probes.get(probe)) is not None:
                series.version += 1
                series.lag = seconds

    @contextmanager
    def reading(self) -> Iterator[tuple[dict[str, ProbeSeries], dict[str, JourneySeries]]]:
        """Everything, held still while it is read: for a short look."""
        with self._lock:
            yield self._probes, self._journeys

    def now(self) -> tuple[dict[str, ProbeSeries], dict[str, JourneySeries]]:
        """Everything as it is, live: which series there are, and their versions."""
        with self._lock:
            return dict(self._probes), dict(self._journeys)

    def probe(self, series: ProbeSeries) -> ProbeSeries:
        """A copy of one series, whole."""
        with self._lock:
            return series.copy()

    def journey(self, series: JourneySeries) -> JourneySeries:
        """A copy of one journey's series, whole."""
        with self._lock:
            return series.copy()

    def results(self) -> list[Result]:
        """The last result of every probe that has one."""
        with self._lock:
            return [series.result for series in self._probes.values() if series.result]

    def _keep(self, series: ProbeSeries, gauges: tuple[Gauge, ...]) -> None:
        """As many samples as the limits of one run and of all probes together allow."""
        before = len(series.gauges)
        left = self._options.max_series - self._gauges + before
        series.gauges = gauges[: max(0, min(left, self._options.max_series_per_probe))]
        self._gauges += len(series.gauges) - before
        series.dropped += len(gauges) - len(series.gauges)

    def _series(self, check: Check, old: ProbeSeries | None) -> ProbeSeries:
        duration = Histogram(self._plan.edges.get(check.name, ()) if self._plan else ())
        if old is None:
            return ProbeSeries(check, duration)
        old.version += 1
        old.check = check
        if old.duration.edges != duration.edges:
            old.duration = duration
        return old

    def _steps(self, journey: str, old: JourneySeries | None) -> JourneySeries:
        """The series of a journey: every step from the beginning, those from before kept."""
        old, new = old or JourneySeries(), JourneySeries()
        known = self._plan.journeys[journey].all_steps if self._plan else ()
        new.by, new.version = old.by, old.version + 1
        for step in known:
            before = old.durations.get(step.name)
            fresh = Histogram(self._step_edges(journey, step.name))
            same = before is not None and before.edges == fresh.edges
            new.durations[step.name] = before if before is not None and same else fresh
            new.attempts[step.name] = old.attempts.get(step.name) or Attempts()
        new.last = tuple(step for step in old.last if step.name in new.attempts)
        return new

    def _step_edges(self, journey: str, step: str) -> tuple[float, ...]:
        return self._plan.step_edges.get(f"{journey}/{step}", ()) if self._plan else ()

    def _add_steps(self, journey: str, result: Result) -> None:
        series = self._journeys.get(journey)
        if series is None:
            return
        series.version += 1
        steps = [step for step in result.reading.steps if step.name in series.attempts]
        series.last, series.by = tuple(steps), result.probe
        for step in steps:
            series.attempts[step.name][step.outcome.value, step.reason.value] += 1
            if step.outcome in GOOD:
                series.durations[step.name].observe(step.seconds)
