"""Which JSON document do other programs read about a load test? (pure; schema sre.loadtest/1)

Latencies are milliseconds; each percentile is the worse of two, see sre.loadtest.book.
"""

from __future__ import annotations

from typing import Any

from sre.loadtest.book import Latency
from sre.loadtest.histogram import Histogram
from sre.loadtest.judge.finding import Finding
from sre.loadtest.judge.report import Part, Phase, Point, Report
from sre.loadtest.judge.verdict import Check, State
from sre.loadtest.output.k6 import k6_metrics
from sre.loadtest.thresholds import QUANTILES
from sre.loadtest.trace import Exemplar

__all__ = ["SCHEMA", "to_summary"]

SCHEMA = "sre.loadtest/1"
_UNITS = {"seconds": ("ms", 1000.0), "share": ("%", 100.0), "count": ("", 1.0)}


def to_summary(report: Report) -> dict[str, Any]:
    """The whole report, JSON-ready."""
    facts = report.facts
    return {
        "schema": SCHEMA,
        "name": facts.name,
        "verdict": report.verdict.name.value,
        "reasons": list(report.verdict.reasons),
        "run_id": facts.run_id,
        "started": facts.started,
        "target": facts.target,
        "environment": facts.environment,
        "model": facts.model,
        "seed": facts.seed,
        "workers": facts.workers,
        "seconds": round(facts.seconds, 3),
        "planned_seconds": facts.planned_seconds,
        "warmup_seconds": facts.warmup,
        "stopped_at_seconds": facts.stopped,
        "requests": report.requests,
        "journeys": {part.label: _journey(part) for part in report.journeys},
        "steps": {part.label: _part(part) for part in report.steps},
        "groups": {part.label: _part(part) for part in report.groups},
        "thresholds": [_check(check) for check in report.checks],
        "invariants": [_finding(f) for f in report.findings if f.kind == "invariant"],
        "regressions": [_finding(f) for f in report.findings if f.kind == "regression"],
        "server": [_finding(f) for f in report.findings if f.kind == "server"],
        "validity": _validity(report),
        "phases": [_phase(phase) for phase in report.phases],
        "timeline": {
            "slot_seconds": report.slot,
            "points": [_point(point) for point in report.points],
        },
        "metrics": k6_metrics(report),
        "versions": dict(facts.versions),
    }


def milliseconds(value: float | None) -> float | None:
    """Seconds as milliseconds, to the microsecond."""
    return None if value is None else round(value * 1000, 3)


def _journey(part: Part) -> dict[str, Any]:
    tally = part.tally
    return {
        "arrivals": tally.arrivals,
        "started": tally.started,
        "dropped": tally.dropped,
        "abandoned": tally.abandoned,
        "ambiguous": tally.ambiguous,
        **_part(part),
    }


def _part(part: Part) -> dict[str, Any]:
    seen = part.measured
    return {
        "ok": seen.count("ok"),
        "degraded": seen.count("degraded"),
        "failed": seen.count("failed"),
        "refused": seen.count("refused"),
        "throttled": seen.count("throttled"),
        "blocked": seen.count("blocked"),
        "prober": seen.count("prober"),
        "reasons": dict(part.series.reasons),
        "examples": [
            {"step": step, "reason": reason, "message": text}
            for step, reason, text in part.examples
        ],
        "traces": {
            "slow": [_exemplar(one) for one in part.slow],
            "failed": [_exemplar(one) for one in part.broken],
        },
        "response_ms": _latency(part.series.response),
        "service_ms": _latency(part.series.service),
    }


def _exemplar(one: Exemplar) -> dict[str, Any]:
    return {
        "trace": one.trace,
        "response_ms": milliseconds(one.response),
        "due_seconds": round(one.at, 3),
        "reason": one.reason,
    }


def _latency(latency: Latency) -> dict[str, Any]:
    values: dict[str, Any] = {
        name: milliseconds(latency.quantile(q)) for name, q in QUANTILES.items()
    }
    return values | {"good": latency.good.count, "failed": latency.failed.count}


def _check(check: Check) -> dict[str, Any]:
    unit, factor = _UNITS[check.threshold.unit]
    return {
        "expression": check.threshold.expression,
        "value": None if check.value is None else round(check.value * factor, 6),
        "limit": round(check.threshold.limit * factor, 6),
        "unit": unit,
        "samples": check.samples,
        "passed": None if check.state is State.UNKNOWN else check.state is State.KEPT,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "name": finding.name,
        "value": finding.value,
        "expected": finding.expected,
        "passed": None if finding.state is State.UNKNOWN else finding.state is State.KEPT,
        "problem": finding.problem,
        "informational": finding.informational,
        **finding.data,
    }


def _validity(report: Report) -> dict[str, Any]:
    seen, found = report.evidence, report.verdict.doubts
    planned = seen.planned
    return {
        "valid": not found,
        "reasons": [{"code": doubt.cause.value, "text": doubt.text} for doubt in found],
        "lateness_ms": _histogram(seen.lateness),
        "lateness_limit_ms": milliseconds(report.lateness_limit),
        "loop_lag_ms": _histogram(seen.loop_lag),
        "achieved": None if not planned else round(seen.on_time / planned, 6),
        "cpu": round(seen.cpu, 4),
        "starvation": None if seen.starvation is None else round(seen.starvation, 4),
        "idle": None if seen.idle is None else round(seen.idle, 4),
        "queueing": None if seen.queueing is None else round(seen.queueing, 4),
        "steal": None if seen.steal is None else round(seen.steal, 4),
        "lost_workers": list(seen.lost),
    }


def _histogram(histogram: Histogram) -> dict[str, Any]:
    return {name: milliseconds(histogram.quantile(q)) for name, q in QUANTILES.items()}


def _phase(phase: Phase) -> dict[str, Any]:
    return {
        "stage": phase.label,
        "start_seconds": phase.start,
        "seconds": phase.seconds,
        "from_percent": round(phase.first * 100, 3),
        "to_percent": round(phase.last * 100, 3),
        "journeys": {part.label: _journey(part) for part in phase.parts},
    }


def _point(point: Point) -> dict[str, Any]:
    seen = point.series
    return {
        "at": point.at,
        "planned": point.planned,
        "started": point.started,
        "in_flight": point.in_flight,
        "outcomes": dict(seen.counts),
        "response_ms": {
            name: milliseconds(seen.response.quantile(QUANTILES[name]))
            for name in ("p50", "p95", "max")
        },
        "service_ms": {
            name: milliseconds(seen.service.quantile(QUANTILES[name]))
            for name in ("p50", "p95", "max")
        },
    }
