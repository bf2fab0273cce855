"""Which CSV files do scripts read that were written for Locust? (pure)

Locust's four files with Locust's columns, filled from our own recorder. `Type` is the journey,
`Name` the step, as in the events that Locust's plug-ins see. Response Time is what Locust calls
so, from sending to the last byte: our service time. Sizes are not recorded and stay 0, as do the
moments of failures, which stay empty.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from datetime import datetime

from sre.loadtest.book import Series
from sre.loadtest.histogram import Histogram
from sre.loadtest.judge.report import Part, Report

__all__ = ["csv_files", "csv_names"]

_QUANTILES = (0.50, 0.66, 0.75, 0.80, 0.90, 0.95, 0.98, 0.99, 0.999, 0.9999, 1.0)
_PERCENTILES = tuple(f"{q * 100:.6g}%" for q in _QUANTILES)
_STATS = (
    "Type", "Name", "Request Count", "Failure Count", "Median Response Time",
    "Average Response Time", "Min Response Time", "Max Response Time", "Average Content Size",
    "Requests/s", "Failures/s", *_PERCENTILES,
)  # fmt: skip
_HISTORY = (
    "Timestamp", "User Count", "Type", "Name", "Requests/s", "Failures/s", *_PERCENTILES,
    "Total Request Count", "Total Failure Count", "Total Median Response Time",
    "Total Average Response Time", "Total Min Response Time", "Total Max Response Time",
    "Total Average Content Size",
)  # fmt: skip
_FAILURES = ("Method", "Name", "Error", "Occurrences", "First Seen", "Last Seen")
_EXCEPTIONS = ("Count", "Message", "Traceback", "Nodes")
_SUFFIXES = ("stats", "stats_history", "failures", "exceptions")


def csv_names(test: str) -> tuple[str, ...]:
    """The names of the four files of a load test."""
    prefix = re.sub(r"[^\w.-]", "_", test).lstrip(".")[:100] or "loadtest"
    return tuple(f"{prefix}_{suffix}.csv" for suffix in _SUFFIXES)


def csv_files(report: Report) -> dict[str, str]:
    """Name -> text of the four files."""
    tables = (_stats(report), _history(report), _failures(report), _exceptions(report))
    return dict(zip(csv_names(report.facts.name), map(_text, tables), strict=True))


def _text(rows: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    csv.writer(out).writerows([_harmless(cell) for cell in row] for row in rows)
    return out.getvalue()


def _harmless(cell: object) -> object:
    """A spreadsheet must not take an answer of the shop for a formula."""
    if not isinstance(cell, str):
        return cell
    line = "".join(char if char.isprintable() else " " for char in cell)
    return f"'{line}" if line.startswith(("=", "+", "-", "@")) else line


def _stats(report: Report) -> Iterable[Sequence[object]]:
    seconds = _seconds(report)
    yield _STATS
    whole = Series()
    for part in report.steps:
        whole.merge(part.series)
        yield _stats_row(part.target.journey, part.target.name, part.series, seconds)
    yield _stats_row("", "Aggregated", whole, seconds)


def _stats_row(kind: str, name: str, series: Series, seconds: float) -> Sequence[object]:
    count, failed = _counts(series)
    times = series.service.together()
    rates = (count / seconds, failed / seconds)
    return (kind, name, count, failed, *_summary(times), 0, *rates, *_percentiles(times))


def _history(report: Report) -> Iterable[Sequence[object]]:
    yield _HISTORY
    begin = datetime.fromisoformat(report.facts.started).timestamp()
    whole = Series()
    for point in report.points:
        whole.merge(point.answers)
        count, failed = _counts(point.answers)
        times = whole.service.together()
        yield (
            int(begin + point.at + report.slot), point.in_flight, "", "Aggregated",
            f"{count / report.slot:.6f}", f"{failed / report.slot:.6f}", *_percentiles(times),
            *_counts(whole), *_summary(times), 0,
        )  # fmt: skip


def _failures(report: Report) -> Iterable[Sequence[object]]:
    yield _FAILURES
    for part in report.steps:
        for reason, count in _reasons(part):
            if reason != "prober":
                yield part.target.journey, part.target.name, _said(part, reason), count, "", ""


def _exceptions(report: Report) -> Iterable[Sequence[object]]:
    """Faults of the generator itself; those of the shop are failures."""
    yield _EXCEPTIONS
    for part in (*report.journeys, *report.steps):
        for reason, count in _reasons(part):
            if reason == "prober":
                yield count, f"{part.label}: {_said(part, reason)}", "", ""
    for lost in report.evidence.lost:
        yield 1, lost, "", ""


def _reasons(part: Part) -> list[tuple[str, int]]:
    """Reasons, and outcomes that have none: refused, throttled, blocked."""
    named = list(part.series.reasons.most_common())
    _, failed = _counts(part.series)
    bare = failed - sum(count for _, count in named)
    others = [
        (outcome, min(bare, part.series.counts[outcome]))
        for outcome in ("refused", "throttled", "blocked")
        if part.series.counts[outcome] and bare > 0
    ]
    return named + others


def _said(part: Part, reason: str) -> str:
    text = next((text for _, why, text in part.examples if why == reason), "")
    return f"{reason}: {text}" if text else reason


def _counts(series: Series) -> tuple[int, int]:
    count = series.counts.total()
    return count, count - series.counts["ok"] - series.counts["degraded"]


def _summary(times: Histogram) -> tuple[float, ...]:
    if not times.count:
        return (0,) * 4
    median, mean = times.quantile(0.5) or 0.0, times.mean or 0.0
    shown = (median, mean, times.minimum, times.maximum)
    first, *rest = (value * 1000 for value in shown)
    return round(first), *(round(value, 3) for value in rest)


def _percentiles(times: Histogram) -> list[object]:
    if not times.count:
        return ["N/A"] * len(_QUANTILES)
    return [round((times.quantile(q) or 0.0) * 1000) for q in _QUANTILES]


def _seconds(report: Report) -> float:
    facts = report.facts
    lasted = facts.planned_seconds if facts.stopped is None else facts.stopped
    return max(1.0, lasted - facts.warmup)
