"""What does Prometheus see of a load test, while it goes and when it is over?

Made anew from the report so far, each time somebody asks. Everything but the number of journeys
under way leaves the warm-up out, as thresholds do. Limits of latency thresholds are edges of
buckets, so that a query can count exactly what a threshold judges.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from sre.core.metrics import CATALOGUE
from sre.loadtest.book import Latency
from sre.loadtest.histogram import Histogram
from sre.loadtest.judge.finding import State
from sre.loadtest.judge.report import Part, Report
from sre.loadtest.judge.validity import Cause
from sre.loadtest.judge.verdict import VerdictName

__all__ = ["exposition"]

_EDGES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_LATE = (0.0001, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
_OUTCOMES = ("ok", "degraded", "refused", "throttled", "failed", "blocked", "prober")

Rows = Iterable[tuple[Sequence[str], float]]


def exposition(report: Report, *, final: bool, in_flight: int = 0) -> bytes:
    """The text format. `final`: the run is over and its verdict stands."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Of(report, final=final, in_flight=in_flight))
    return generate_latest(registry)


class _Of(Collector):
    def __init__(self, report: Report, *, final: bool, in_flight: int) -> None:
        self._report, self._final, self._in_flight = report, final, in_flight
        self._test = report.facts.name
        limits = {c.threshold.limit for c in report.checks if c.threshold.is_latency}
        self._edges = tuple(sorted({*_EDGES, *limits}))

    def collect(self) -> Iterator[Metric]:
        """All families, in the order of the catalogue."""
        yield from self._customers()
        yield from self._steps()
        yield from self._generator()
        yield from self._judged()

    def _customers(self) -> Iterator[Metric]:
        parts = self._report.journeys
        yield self._counter("arrivals", (((p.label,), p.tally.arrivals) for p in parts))
        yield self._counter(
            "journeys",
            (
                row
                for part in parts
                for row in (*_outcomes(part, (part.label,)),
                            ((part.label, "dropped"), part.tally.dropped))
            ),
        )  # fmt: skip
        yield self._counter("ambiguous_journeys", (((p.label,), p.tally.ambiguous) for p in parts))
        yield self._latencies("journey_response_seconds", parts, "response")
        yield self._latencies("journey_service_seconds", parts, "service")

    def _steps(self) -> Iterator[Metric]:
        parts = self._report.steps
        yield self._counter("steps", (r for p in parts for r in _outcomes(p, _names(p))))
        yield self._counter(
            "step_reasons",
            (((*_names(p), why), n) for p in parts for why, n in p.series.reasons.items()),
        )
        yield self._latencies("step_response_seconds", parts, "response")
        yield self._latencies("step_service_seconds", parts, "service")

    def _generator(self) -> Iterator[Metric]:
        report = self._report
        points = () if self._final else report.points[-1:]
        yield self._histogram(
            "lateness_seconds", [((), report.evidence.lateness)],
            tuple(sorted({*_LATE, report.lateness_limit})),
        )  # fmt: skip
        yield self._gauge("in_flight", [((), self._in_flight)])
        rate = sum(point.rate for point in points)
        yield self._gauge("planned_arrivals_per_second", [((), rate)])
        yield self._gauge("running", [((), float(not self._final))])
        found = {doubt.cause for doubt in report.verdict.doubts}
        yield self._gauge("valid", (((cause.value,), float(cause not in found)) for cause in Cause))

    def _judged(self) -> Iterator[Metric]:
        checks = self._report.checks
        yield self._gauge(
            "threshold_value",
            (((c.threshold.expression,), c.value) for c in checks if c.value is not None),
        )
        yield self._gauge(
            "threshold_limit", (((c.threshold.expression,), c.threshold.limit) for c in checks)
        )
        yield self._gauge(
            "threshold_ok",
            (
                ((c.threshold.expression,), float(c.state is State.KEPT))
                for c in checks
                if c.state is not State.UNKNOWN
            ),
        )
        if self._final:
            yield from self._end()

    def _end(self) -> Iterator[Metric]:
        facts, found = self._report.facts, self._report.verdict.name
        rows = [((name.value,), float(name is found)) for name in VerdictName]
        yield self._gauge("verdict", rows)
        ended = datetime.fromisoformat(facts.started).timestamp() + facts.seconds
        yield self._gauge("last_run_timestamp_seconds", [((), ended)])

    def _counter(self, name: str, rows: Rows) -> Metric:
        info = CATALOGUE[f"sre_loadtest_{name}_total"]
        family = CounterMetricFamily(f"sre_loadtest_{name}", info.help, labels=info.labels)
        for labels, value in rows:
            family.add_metric([self._test, *labels], value)
        return family

    def _gauge(self, name: str, rows: Rows) -> Metric:
        info = CATALOGUE[f"sre_loadtest_{name}"]
        family = GaugeMetricFamily(info.name, info.help, labels=info.labels)
        for labels, value in rows:
            family.add_metric([self._test, *labels], value)
        return family

    def _latencies(self, name: str, parts: Sequence[Part], series: str) -> Metric:
        rows = []
        for part in parts:
            latency: Latency = getattr(part.series, series)
            names = (part.label,) if part.target.kind == "journey" else _names(part)
            rows += [((*names, "ok"), latency.good), ((*names, "failed"), latency.failed)]
        return self._histogram(name, rows, self._edges)

    def _histogram(
        self,
        name: str,
        rows: Iterable[tuple[Sequence[str], Histogram]],
        edges: Sequence[float],
    ) -> Metric:
        info = CATALOGUE[f"sre_loadtest_{name}"]
        family = HistogramMetricFamily(info.name, info.help, labels=info.labels)
        for labels, histogram in rows:
            buckets = _buckets(histogram, edges)
            family.add_metric([self._test, *labels], buckets, sum_value=histogram.total)
        return family


def _outcomes(part: Part, names: Sequence[str]) -> Iterator[tuple[Sequence[str], float]]:
    for outcome in _OUTCOMES:
        yield (*names, outcome), part.series.counts[outcome]


def _names(part: Part) -> tuple[str, str]:
    return part.target.journey, part.target.name


def _buckets(histogram: Histogram, edges: Sequence[float]) -> list[tuple[str, float]]:
    """Cumulative counts at the edges, each to the width of one of our own buckets."""
    curve = histogram.curve()
    values = [value for value, _ in curve]
    counts = [0, *(round(share * histogram.count) for _, share in curve)]
    found = [(str(edge), float(counts[bisect_right(values, edge)])) for edge in edges]
    return [*found, ("+Inf", float(histogram.count))]
