"""Which share of customers was answered within which time, and what did the server say? (pure)"""

from __future__ import annotations

from collections.abc import Sequence

from sre.loadtest.histogram import Histogram
from sre.loadtest.judge.finding import Finding
from sre.loadtest.judge.report import Part, Report
from sre.loadtest.output.charts import Axis, Line, chart, linear, logarithmic, seconds_label

__all__ = ["distributions", "served"]

_MOST = 6
"""Journeys with a picture of their own; a page of fifty helps nobody."""


def distributions(report: Report) -> str:
    """Response beside service time of each journey, good answers, over the runs before."""
    busiest = sorted(report.journeys, key=lambda part: -part.series.response.good.count)[:_MOST]
    shown = [part for part in report.journeys if part in busiest]
    return "".join(_distribution(part, report) for part in shown if part.series.response.count)


def _distribution(part: Part, report: Report) -> str:
    lines = [
        _curve("service time", part.series.service.good, "green", "6 3"),
        _curve("response time", part.series.response.good, "blue", width=2.4),
    ]
    before = report.baseline.get(part.label)
    if before is not None and before.count:
        lines.insert(0, _curve("response time before", before, "grey", width=3.4))
    if part.series.response.failed.count:
        lines.append(_curve("failures", part.series.response.failed, "red", "2 2"))
    limits = [
        (check.threshold.expression, check.threshold.limit * 1000)
        for check in report.checks
        if check.threshold.series == "response" and check.threshold.name == part.label
    ]
    values = [x for line in lines for x, _ in line.points] + [limit for _, limit in limits]
    low, high = max(0.1, min(values, default=1.0)), max(values, default=1000.0)
    axis = Axis(0.0, 100.0, tuple((v, f"{v:g}%") for v in (0.0, 25.0, 50.0, 75.0, 95.0)), "")
    return chart(
        f"{part.label}: share answered within …",
        f"Cumulative distribution of response and service time of {part.label}, good answers"
        + (", beside the runs before." if before else "."),
        logarithmic(low, high, "time, logarithmic", seconds_label),
        axis,
        lines=lines,
        limits=limits,
    )


def _curve(name: str, histogram: Histogram, tone: str, dash: str = "", width: float = 1.8) -> Line:
    points = [(x * 1000, y * 100) for x, y in histogram.curve()]
    if points:
        points.insert(0, (points[0][0], 0.0))
    return Line(name, points, tone, dash, width=width)


def served(report: Report, time: Axis) -> str:
    """What the shop's own monitoring saw, below what customers saw."""
    found = [finding for finding in report.findings if finding.kind == "server"]
    return "".join(_server(finding, time) for finding in found if finding.data.get("points"))


def _server(finding: Finding, time: Axis) -> str:
    points: Sequence[tuple[float, float | None]] = [
        (float(at), None if value is None else float(value)) for at, value in finding.data["points"]
    ]
    values = [value for _, value in points if value is not None]
    low, high = min([*values, 0.0]), max([*values, 0.0])
    return chart(
        f"server: {finding.name}",
        f"{finding.name} as the monitoring of the shop saw it: {finding.value}.",
        time,
        linear(high, "", low=low),
        lines=[Line(finding.name, points, "orange")],
    )
