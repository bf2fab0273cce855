"""Which numbers do scripts read that were written for k6's summary? (pure)

The shape of k6's `handleSummary`: metric -> type, contains, values, thresholds by expression. The
values are ours: latencies in milliseconds, each percentile the worse of two (sre.loadtest.book).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sre.loadtest.book import Latency
from sre.loadtest.judge.finding import State
from sre.loadtest.judge.report import Part, Report
from sre.loadtest.judge.verdict import Check

__all__ = ["k6_metrics"]

_RATES = ("ok", "failed", "refused", "throttled", "dropped")


def k6_metrics(report: Report) -> dict[str, Any]:
    """Trends `NAME_response` and `NAME_service`, rates `NAME_failed` and so on.

    A step or group that shares its name with a journey is left to the journey.
    """
    found: dict[str, Any] = {}
    for part in (*report.groups, *report.steps, *report.journeys):
        for series, latency in (
            ("response", part.series.response),
            ("service", part.series.service),
        ):
            checks = _checks(report.checks, part, series)
            found[f"{part.label}_{series}"] = _trend(latency) | checks
        for name in _RATES if part.target.kind == "journey" else _RATES[:-1]:
            found[f"{part.label}_{name}"] = _rate(part, name) | _checks(report.checks, part, name)
    return found


def _trend(latency: Latency) -> dict[str, Any]:
    whole = latency.together()
    values = {
        "avg": whole.mean,
        "min": whole.minimum if whole.count else None,
        "med": latency.quantile(0.5),
        "max": latency.quantile(1.0),
        "p(90)": latency.quantile(0.9),
        "p(95)": latency.quantile(0.95),
        "p(99)": latency.quantile(0.99),
    }
    shown = {name: None if v is None else round(v * 1000, 3) for name, v in values.items()}
    return {"type": "trend", "contains": "time", "values": shown}


def _rate(part: Part, name: str) -> dict[str, Any]:
    seen = part.measured
    count, of = seen.count(name), seen.arrivals
    values = {
        "rate": round(count / of, 6) if of else None,
        "passes": count,
        "fails": max(0, of - count),
    }
    return {"type": "rate", "contains": "default", "values": values}


def _checks(checks: Iterable[Check], part: Part, measure: str) -> dict[str, Any]:
    names = (part.label, f"{part.target.journey}/{part.target.name}")
    own = {
        check.threshold.expression: {"ok": check.state is State.KEPT}
        for check in checks
        if check.threshold.name in names
        and (check.threshold.series or check.threshold.measure) == measure
    }
    return {"thresholds": own} if own else {}
