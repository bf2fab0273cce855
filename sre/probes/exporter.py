"""Which metrics do the scheduled probes export, and under which names?

A collector of its own, read at each scrape from the Record: what is not there any more is not
exported any more.
"""

from __future__ import annotations

import itertools
import math
import platform
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from sre import __version__
from sre.core.clock import Clock, SystemClock
from sre.core.metrics import describe
from sre.probes.model import Gauge
from sre.probes.record import Attempts, Histogram, JourneySeries, ProbeSeries, Record

__all__ = ["ProbeCollector", "registry_of"]

_MAX_LABEL = 128
_SKIPS = ("overrun", "late", "budget")

Probes = dict[str, ProbeSeries]
Journeys = dict[str, JourneySeries]


def registry_of(record: Record, clock: Clock | None = None) -> CollectorRegistry:
    """A registry with the probes of `record`, this process and this build; nothing global."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ProbeCollector(record, clock or SystemClock()))
    ProcessCollector(registry=registry)
    return registry


class ProbeCollector(Collector):
    """Turns a Record into metric families, anew at each scrape."""

    def __init__(self, record: Record, clock: Clock) -> None:
        self._record = record
        self._clock = clock

    def describe(self) -> Iterable[Metric]:
        """Nothing: names of gauges are known only once a probe has run."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """All families as they are now."""
        now = self._clock.wall()
        with self._record.reading() as (probes, journeys):
            parts = [
                _runs(probes),
                _schedule(probes, now),
                _probe_phases(probes, now),
                _steps(journeys),
                _step_phases(probes, journeys, now),
                _found(probes, now),
                _about(self._record),
            ]
            return list(itertools.chain.from_iterable(parts))


def _runs(probes: Probes) -> Iterator[Metric]:
    attempts = _family("sre_probe_attempts_total")
    durations = _family("sre_probe_duration_seconds")
    for name, series in probes.items():
        _add_attempts(attempts, {"probe": name}, series.attempts)
        _add_histogram(durations, {"probe": name}, series.duration)
    yield from (attempts, durations)


def _schedule(probes: Probes, now: float) -> Iterator[Metric]:
    up, last = _family("sre_probe_up"), _family("sre_probe_last_run_timestamp_seconds")
    lag = _family("sre_probe_schedule_lag_seconds")
    skipped = _family("sre_probe_schedule_skipped_total")
    for name, series in probes.items():
        labels = {"probe": name}
        if series.up is not None and series.fresh(series.up[1], now):
            up.add_sample(up.name, labels, float(series.up[0]))
        if series.last_run is not None:
            last.add_sample(last.name, labels, series.last_run)
        if series.lag is not None and series.fresh(series.last_run, now):
            lag.add_sample(lag.name, labels, series.lag)
        for reason in _SKIPS:
            if reason != "budget" or series.check.orders:
                count = series.skipped[reason]
                skipped.add_sample(f"{skipped.name}_total", {**labels, "reason": reason}, count)
    yield from (up, last, lag, skipped)


def _probe_phases(probes: Probes, now: float) -> Iterator[Metric]:
    family = _family("sre_probe_phase_seconds")
    for name, series in probes.items():
        reading = series.result.reading if series.result else None
        if reading is None or reading.journey is not None or not series.fresh(series.last_run, now):
            continue
        for step in reading.steps:
            for phase, seconds in step.phases.items():
                family.add_sample(family.name, {"probe": name, "phase": phase}, seconds)
    yield family


def _steps(journeys: Journeys) -> Iterator[Metric]:
    durations = _family("sre_probe_step_duration_seconds")
    attempts = _family("sre_probe_step_attempts_total")
    for journey, series in journeys.items():
        for step, histogram in series.durations.items():
            _add_histogram(durations, {"journey": journey, "step": step}, histogram)
        for step, counts in series.attempts.items():
            _add_attempts(attempts, {"journey": journey, "step": step}, counts)
    yield from (durations, attempts)


def _step_phases(probes: Probes, journeys: Journeys, now: float) -> Iterator[Metric]:
    family = _family("sre_probe_step_phase_seconds")
    for journey, series in journeys.items():
        probe = probes.get(series.by)
        if probe is None or not probe.fresh(probe.last_run, now):
            continue
        phases = {step.name: step.phases for step in series.last}
        for step, seconds_of in phases.items():
            for phase, seconds in seconds_of.items():
                labels = {"journey": journey, "step": step, "phase": phase}
                family.add_sample(family.name, labels, seconds)
    yield family


def _found(probes: Probes, now: float) -> Iterator[Metric]:
    families: dict[str, Metric] = {}
    for name, series in probes.items():
        if series.fresh(series.last_run, now):
            unique = {(gauge.name, gauge.labels): gauge for gauge in series.gauges}
            for gauge in unique.values():
                _add_gauge(families, name, gauge)
    yield from families.values()


def _add_gauge(families: dict[str, Metric], probe: str, gauge: Gauge) -> None:
    kind = "counter" if gauge.counter else "gauge"
    base = gauge.name.removesuffix("_total") if gauge.counter else gauge.name
    family = families.setdefault(base, Metric(base, gauge.help, kind))
    if family.type == kind:
        labels = {key: value[:_MAX_LABEL] for key, value in gauge.labels}
        family.add_sample(gauge.name, {"probe": probe, **labels}, gauge.value)


def _about(record: Record) -> Iterator[Metric]:
    yield _single("sre_probe_series_dropped_total", record.dropped)
    python = platform.python_version()
    yield _single("sre_build_info", 1, {"version": __version__, "python": python})
    good, at = record.reloaded
    yield _single("sre_config_last_reload_successful", float(good))
    if at is not None:
        yield _single("sre_config_last_reload_success_timestamp_seconds", at)


def _family(name: str) -> Metric:
    info = describe(name)
    return Metric(name.removesuffix("_total"), info.help, info.type)


def _single(name: str, value: float, labels: dict[str, str] | None = None) -> Metric:
    family = _family(name)
    family.add_sample(name, labels or {}, value)
    return family


def _add_attempts(family: Metric, labels: dict[str, str], attempts: Attempts) -> None:
    for (outcome, reason), count in attempts.items():
        ended = {**labels, "outcome": outcome, "reason": reason}
        family.add_sample(f"{family.name}_total", ended, count)


def _add_histogram(family: Metric, labels: dict[str, str], source: Histogram) -> None:
    total = list(itertools.accumulate(source.counts))
    for edge, below in zip([*source.edges, math.inf], total, strict=True):
        le = "+Inf" if edge == math.inf else repr(float(edge))
        family.add_sample(f"{family.name}_bucket", {**labels, "le": le}, below)
    family.add_sample(f"{family.name}_count", labels, total[-1])
    family.add_sample(f"{family.name}_sum", labels, source.sum)
