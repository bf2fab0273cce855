"""How did the run go over time: latency, arrivals, outcomes, journeys under way? (pure)"""

from __future__ import annotations

from collections.abc import Callable

from sre.core.units import format_duration
from sre.loadtest.book import Latency, Series
from sre.loadtest.judge.report import Point, Report
from sre.loadtest.output.charts import Axis, Bars, Line, chart, linear, logarithmic, seconds_label
from sre.loadtest.output.page_curves import distributions, served
from sre.loadtest.output.page_table import Cell, head, number, quantile, section, table

__all__ = ["charts"]

_OUTCOMES = (
    ("ok", "green"),
    ("degraded", "sky"),
    ("refused", "blue"),
    ("throttled", "orange"),
    ("failed", "red"),
    ("blocked", "pink"),
    ("prober", "grey"),
)


def charts(report: Report) -> str:
    """How the run went; a line of text when nothing was recorded."""
    if not report.points:
        return section("Over time", '<p class="note">Nothing was recorded.</p>')
    end = report.points[-1].at + report.slot
    time = time_axis(end)
    figures = [_latency(report, time), _arrivals(report, time), _outcomes(report, time)]
    figures.append(_in_flight(report, time))
    shown = f'<div class="charts">{"".join(figures)}</div>'
    curves = f'<div class="charts">{distributions(report)}{served(report, time)}</div>'
    return section("Over time", shown, _numbers(report)) + section(
        "How long customers waited", curves
    )


def time_axis(end: float) -> Axis:
    """Time since the start; minutes where seconds would be many."""
    unit, size = ("seconds", 1.0) if end <= 300 else ("minutes", 60.0)
    axis = linear(end / size, f"{unit} since the start, by the time customers were due")
    ticks = tuple((value * size, text) for value, text in axis.ticks if value * size <= end * 1.001)
    return Axis(0.0, end, ticks, axis.label)


def _latency(report: Report, time: Axis) -> str:
    def line(name: str, tone: str, q: float, of: Callable[[Series], Latency], dash: str) -> Line:
        points = [(_middle(report, p), _ms(of(p.series).quantile(q))) for p in report.points]
        return Line(name, points, tone, dash)

    lines = [
        line("max", "grey", 1.0, lambda s: s.response, "2 2"),
        line("p95", "red", 0.95, lambda s: s.response, ""),
        line("p50", "blue", 0.5, lambda s: s.response, ""),
        line("p95 service time", "green", 0.95, lambda s: s.service, "6 3"),
    ]
    values = [y for each in lines for _, y in each.points if y]
    low, high = min(values, default=1.0), max(values, default=1000.0)
    return chart(
        "Response time",
        f"Response time by second: between {seconds_label(round(low, 1))} and "
        f"{seconds_label(round(high, 1))}, on a logarithmic scale.",
        time,
        logarithmic(max(0.1, low), high, "", seconds_label),
        lines=lines,
        hints=[(p.at, p.at + report.slot, _latency_hint(p)) for p in report.points],
    )


def _latency_hint(point: Point) -> str:
    values = [
        f"{name} {seconds_label(round(value, 1))}"
        for name, q in (("p50", 0.5), ("p95", 0.95), ("max", 1.0))
        if (value := _ms(point.series.response.quantile(q))) is not None
    ]
    return f"{format_duration(point.at)}: {', '.join(values) or 'nobody came'}"


def _arrivals(report: Report, time: Axis) -> str:
    closed = report.evidence.planned is None
    started = [(p.at, p.started / report.slot) for p in report.points]
    planned = [(p.at, p.planned / report.slot) for p in report.points]
    end = report.points[-1].at + report.slot
    lines = [Line("started", [*started, (end, started[-1][1])], "blue", step=True)]
    if not closed:
        ending = [*planned, (end, planned[-1][1])]
        lines.insert(0, Line("planned", ending, "orange", "5 3", step=True, width=3.0))
        lines.insert(0, Line("declared rate", [(p.at, p.rate) for p in report.points], "grey"))
    highest = max([y for _, y in started + planned] + [p.rate for p in report.points])
    return chart(
        "Customers per second",
        f"Customers per second, planned and started: up to {highest:.4g}.",
        time,
        linear(highest, ""),
        lines=lines,
        hints=[
            (p.at, p.at + report.slot,
             f"{format_duration(p.at)}: planned {p.planned}, started {p.started}")
            for p in report.points
        ],
    )  # fmt: skip


def _outcomes(report: Report, time: Axis) -> str:
    seen = {name for p in report.points for name, count in p.series.counts.items() if count}
    bars = [
        Bars(name, [p.series.counts[name] / report.slot for p in report.points], tone)
        for name, tone in _OUTCOMES
        if name in seen
    ]
    highest = max(p.series.counts.total() / report.slot for p in report.points)
    totals = ", ".join(
        f"{sum(p.series.counts[name] for p in report.points)} {name}"
        for name, _ in _OUTCOMES
        if name in seen
    )
    return chart(
        "How journeys ended, per second",
        f"Outcomes of journeys over time: {totals or 'none'}.",
        time,
        linear(highest, ""),
        bars=bars,
        hints=[(p.at, p.at + report.slot, _outcome_hint(p)) for p in report.points],
    )


def _outcome_hint(point: Point) -> str:
    counts = [f"{count} {name}" for name, count in point.series.counts.most_common() if count]
    return f"{format_duration(point.at)}: {', '.join(counts) or 'none'}"


def _in_flight(report: Report, time: Axis) -> str:
    points = [(p.at + report.slot, float(p.in_flight)) for p in report.points]
    highest = max(y for _, y in points)
    return chart(
        "Journeys under way",
        f"Journeys under way at the end of each point in time: up to {highest:g}.",
        time,
        linear(max(4.0, highest), ""),
        lines=[Line("under way", [(0.0, 0.0), *points], "blue")],
        hints=[
            (p.at, p.at + report.slot, f"{format_duration(p.at)}: {p.in_flight} under way")
            for p in report.points
        ],
    )


def _numbers(report: Report) -> str:
    columns = [
        "At", "Planned", "Started", "Under way", "Ok", "Failed", "Response p50", "p95", "Max",
        "Service p95",
    ]  # fmt: skip
    rows = [_point(point) for point in report.points]
    return (
        f"<details><summary>The same in numbers, every {format_duration(report.slot)}</summary>"
        f"{table(columns, rows)}</details>"
    )


def _point(point: Point) -> list[Cell]:
    seen = point.series
    good = seen.counts["ok"] + seen.counts["degraded"]
    return [
        head(format_duration(point.at)),
        number("Planned", f"{point.planned:,}"),
        number("Started", f"{point.started:,}"),
        number("Under way", f"{point.in_flight:,}"),
        number("Ok", f"{good:,}"),
        number("Failed", f"{seen.counts['failed']:,}"),
        number("Response p50", quantile(seen.response, 0.5)),
        number("Response p95", quantile(seen.response, 0.95)),
        number("Response max", quantile(seen.response, 1.0)),
        number("Service p95", quantile(seen.service, 0.95)),
    ]


def _middle(report: Report, point: Point) -> float:
    return point.at + report.slot / 2


def _ms(value: float | None) -> float | None:
    return None if value is None else value * 1000
