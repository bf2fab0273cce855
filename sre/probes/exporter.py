"""Which metrics do the scheduled probes export, and under which names?

Collectors of our own, read at each scrape: what is not there any more is not exported any more.
`exposition` writes the text that Prometheus usually gets, cheaply; a scraper that takes nothing
but OpenMetrics gets the same families from here, written by prometheus_client.
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
from sre.probes.record import Record
from sre.probes.series import (
    KNOWN_ATTEMPTS,
    Attempts,
    Histogram,
    JourneySeries,
    ProbeSeries,
    confirmations_of,
    skips_of,
)
from sre.probes.shown import families_of, found_of, phases_of
from sre.probes.watching import opened

__all__ = ["ProbeCollector", "ServiceCollector", "registry_of"]

Probes = dict[str, ProbeSeries]
Journeys = dict[str, JourneySeries]


def registry_of(
    record: Record, clock: Clock | None = None, *, probes: bool = True
) -> CollectorRegistry:
    """A registry with the probes of `record`, this process and this build; nothing global."""
    registry = CollectorRegistry(auto_describe=False)
    if probes:
        registry.register(ProbeCollector(record, clock or SystemClock()))
    registry.register(ServiceCollector(record))
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
        live, walked = self._record.now()
        probes = {name: self._record.probe(series) for name, series in live.items()}
        journeys = {name: self._record.journey(series) for name, series in walked.items()}
        parts = [
            _runs(probes),
            _schedule(probes, now),
            _limits(probes),
            _probe_phases(probes, now),
            _steps(journeys),
            _step_phases(probes, journeys, now),
            _found(probes, now),
            _maintenance(self._record, probes, now),
        ]
        return itertools.chain.from_iterable(parts)


class ServiceCollector(Collector):
    """What is known of the service itself."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def describe(self) -> Iterable[Metric]:
        """Nothing: it depends on the declaration."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """All families as they are now."""
        record = self._record
        python = platform.python_version()
        yield _single("sre_build_info", 1, {"version": __version__, "python": python})
        good, at = record.reloaded
        yield _single("sre_config_last_reload_successful", float(good))
        if at is not None:
            yield _single("sre_config_last_reload_success_timestamp_seconds", at)
        if record.web_config is not None:
            yield _single("sre_web_config_last_reload_successful", float(record.web_config))
        if record.gate_up is not None:
            yield _single("sre_probe_gate_up", float(record.gate_up))
        if record.plan is not None and record.plan.watch.location is not None:
            yield _single("sre_probe_location_info", 1, {"location": record.plan.watch.location})


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
        for reason in dict.fromkeys([*skips_of(series.check), *series.skipped]):
            count = series.skipped[reason]
            skipped.add_sample(f"{skipped.name}_total", {**labels, "reason": reason}, count)
    yield from (up, last, lag, skipped)


def _limits(probes: Probes) -> Iterator[Metric]:
    dropped = _family("sre_probe_series_dropped_total")
    confirmed = _family("sre_probe_confirmations_total")
    for name, series in probes.items():
        dropped.add_sample(f"{dropped.name}_total", {"probe": name}, series.dropped)
        for result in dict.fromkeys([*confirmations_of(series.check), *series.confirmed]):
            labels = {"probe": name, "result": result}
            confirmed.add_sample(f"{confirmed.name}_total", labels, series.confirmed[result])
    yield from (dropped, confirmed)


def _probe_phases(probes: Probes, now: float) -> Iterator[Metric]:
    family = _family("sre_probe_phase_seconds")
    for name, series in probes.items():
        if series.fresh(series.last_run, now):
            for phase, seconds in phases_of(series).items():
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
    fresh = {name: series for name, series in probes.items() if series.fresh(series.last_run, now)}
    families = families_of(series.gauges for series in fresh.values())
    made = {
        name: Metric(
            name.removesuffix("_total"), first.help, "counter" if first.counter else "gauge"
        )
        for name, first in families.items()
    }
    for probe, series in fresh.items():
        for (name, labels), value in found_of(series.gauges, families).items():
            made[name].add_sample(name, {**dict(labels), "probe": probe}, value)
    yield from made.values()


def _made(name: str, first: Gauge) -> Metric:
    kind = "counter" if first.counter else "gauge"
    return Metric(name.removesuffix("_total"), first.help, kind)


def _maintenance(record: Record, probes: Probes, now: float) -> Iterator[Metric]:
    windows = record.plan.maintenance if record.plan is not None else ()
    if not windows:
        return
    state, info = _family("sre_probe_maintenance"), _family("sre_probe_maintenance_info")
    open_now = opened(windows, now)
    for name, series in probes.items():
        names = dict.fromkeys(each.name for each in open_now if each.about(series.check))
        state.add_sample(state.name, {"probe": name}, float(bool(names)))
        for window in names:
            info.add_sample(info.name, {"probe": name, "window": window}, 1.0)
    yield from (state, info)


def _family(name: str) -> Metric:
    info = describe(name)
    return Metric(name.removesuffix("_total"), info.help, info.type)


def _single(name: str, value: float, labels: dict[str, str] | None = None) -> Metric:
    family = _family(name)
    family.add_sample(name, labels or {}, value)
    return family


def _add_attempts(family: Metric, labels: dict[str, str], attempts: Attempts) -> None:
    for outcome, reason in dict.fromkeys([*KNOWN_ATTEMPTS, *attempts]):
        ended = {**labels, "outcome": outcome, "reason": reason}
        family.add_sample(f"{family.name}_total", ended, attempts[outcome, reason])


def _add_histogram(family: Metric, labels: dict[str, str], source: Histogram) -> None:
    total = list(itertools.accumulate(source.counts))
    for edge, below in zip([*source.edges, math.inf], total, strict=True):
        le = "+Inf" if edge == math.inf else repr(float(edge))
        family.add_sample(f"{family.name}_bucket", {**labels, "le": le}, below)
    family.add_sample(f"{family.name}_count", labels, total[-1])
    family.add_sample(f"{family.name}_sum", labels, source.sum)
