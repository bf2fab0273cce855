"""What does the report for people say? One self-contained file, the verdict first. (pure)"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from sre.core.units import format_duration
from sre.loadtest.book import Latency, Series
from sre.loadtest.judge.report import Part, Report
from sre.loadtest.judge.validity import Cause, Limits, starvation_limit
from sre.loadtest.judge.verdict import Check, State, VerdictName, show
from sre.loadtest.output.page_charts import charts
from sre.loadtest.output.page_style import STYLE

__all__ = ["render_html"]

_HEADLINES = {
    VerdictName.PASSED: "Passed: the shop holds at this load",
    VerdictName.FAILED: "Failed: the shop does not hold at this load",
    VerdictName.INVALID: "Invalid: this measurement must not be trusted",
    VerdictName.ABORTED: "Aborted: the run was stopped before its end",
}
_STATES = {State.KEPT: "✓ kept", State.BROKEN: "✗ broken", State.UNKNOWN: "? unknown"}
_HOW = (
    "Response time counts from the moment a customer was due, so that a shop which stands still "
    "cannot hide the customers who came meanwhile; service time is what the shop took. Each "
    "percentile is the worse of two: over good answers alone, and over good answers and failures."
)
_CLOSED = (
    "Closed model: virtual users wait for answers, so a slow shop gets fewer requests, and what "
    "was not sent is in no percentile. Use `mix` for a gate."
)

Cell = tuple[str, str, str]
"""(class, label on narrow screens, HTML)."""


def render_html(report: Report) -> str:
    """The whole page, as text; nothing in it needs the network."""
    facts = report.facts
    title = f"{facts.name}: {report.verdict.name.value}"
    sections = [
        _verdict(report),
        _tiles(report),
        _thresholds(report),
        f'<section aria-label="Charts"><h2>Over time</h2>{charts(report)}</section>',
        _parts("Journeys and steps", report),
        _stages(report),
        _trouble(report),
        _validity(report),
        _footer(report),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f"<body><main>{''.join(sections)}</main></body></html>\n"
    )


def _verdict(report: Report) -> str:
    facts, verdict = report.facts, report.verdict
    what = f"<b>{escape(facts.name)}</b> against <b>{escape(facts.target)}</b>"
    when = f"{escape(facts.started.replace('T', ' ').replace('+00:00', ' UTC'))}"
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in verdict.reasons)
    one = len(verdict.reasons) == 1
    words = f"<p>{escape(verdict.reasons[0])}</p>" if one else f"<ul>{reasons}</ul>"
    besides = ""
    if verdict.name is VerdictName.FAILED and verdict.doubts:
        found = "".join(f"<li>{escape(doubt.text)}</li>" for doubt in verdict.doubts)
        besides = f"<p>Besides, the measurement is in doubt:</p><ul>{found}</ul>"
    return (
        f'<header><p class="eyebrow">Load test {what} · {when} · {format_duration(facts.seconds)}'
        f'</p><div class="verdict {verdict.name.value}"><h1>{_HEADLINES[verdict.name]}</h1>'
        f"{words}{besides}</div></header>"
    )


def _tiles(report: Report) -> str:
    whole = Series()
    for part in report.journeys:
        whole.merge(part.series)
    arrivals = sum(part.tally.arrivals for part in report.journeys)
    good = sum(part.measured.count("ok") for part in report.journeys)
    dropped = sum(part.tally.dropped for part in report.journeys)
    share = f"{good / arrivals:.2%}" if arrivals else "none"
    evidence = report.evidence
    late = evidence.lateness.quantile(0.99)
    tiles = [
        ("Customers who came", f"{arrivals:,}", f"{dropped:,} could not start" if dropped else
         f"{report.requests:,} requests sent"),
        ("Served well", share, f"{whole.counts['failed']:,} failed"),
        ("Response time, p95", _ms(whole.response.quantile(0.95)),
         f"median {_ms(whole.response.quantile(0.5))}"),
        ("Service time, p95", _ms(whole.service.quantile(0.95)),
         f"median {_ms(whole.service.quantile(0.5))}"),
        ("Generator lateness, p99", _ms(late), f"limit {_ms(report.lateness_limit)}"),
    ]  # fmt: skip
    cells = "".join(
        f'<div class="tile"><dt>{name}</dt><dd>{value}</dd><small>{small}</small></div>'
        for name, value, small in tiles
    )
    return f'<dl class="tiles">{cells}</dl>'


def _thresholds(report: Report) -> str:
    if not report.checks:
        note = "No threshold was declared, so nothing about the shop was judged."
        return f'<section><h2>Thresholds</h2><p class="note">{note}</p></section>'
    columns = ["Threshold", "Observed", "Limit", "Samples", "Result"]
    rows = [_threshold_row(check) for check in report.checks]
    return f"<section><h2>Thresholds</h2>{_table(columns, rows)}</section>"


def _threshold_row(check: Check) -> list[Cell]:
    threshold = check.threshold
    state = f'<span class="state {check.state.value}">{_STATES[check.state]}</span>'
    return [
        ("", "", f"<code>{escape(threshold.expression)}</code>"),
        ("n", "Observed", show(threshold.unit, check.value)),
        ("n", "Limit", escape(f"{threshold.op} {show(threshold.unit, threshold.limit)}")),
        ("n", "Samples", f"{check.samples:,}"),
        ("n", "Result", state),
    ]


def _parts(title: str, report: Report) -> str:
    columns = [
        "Journey or step", "Ok", "Failed", "Refused", "Throttled", "Response p50", "p95", "p99",
        "Max", "Service p95",
    ]  # fmt: skip
    rows = [_part_row(part, f"<b>{escape(part.label)}</b>") for part in report.journeys]
    rows += [_part_row(part, f"{escape(part.label)}") for part in report.steps]
    rows += [_part_row(part, f"group {escape(part.label)}") for part in report.groups]
    notes = f'<p class="note">{_HOW}</p>'
    if report.facts.model == "closed":
        notes += f'<p class="note">{_CLOSED}</p>'
    return f"<section><h2>{title}</h2>{_table(columns, rows)}{notes}</section>"


def _part_row(part: Part, label: str) -> list[Cell]:
    seen, response = part.measured, part.series.response
    return [
        ("", "", label),
        *(("n", name.capitalize(), f"{seen.count(name):,}")
          for name in ("ok", "failed", "refused", "throttled")),
        ("n", "Response p50", _quantile(response, 0.5)),
        ("n", "Response p95", _quantile(response, 0.95)),
        ("n", "Response p99", _quantile(response, 0.99)),
        ("n", "Response max", _quantile(response, 1.0)),
        ("n", "Service p95", _quantile(part.series.service, 0.95)),
    ]  # fmt: skip


def _stages(report: Report) -> str:
    columns = ["Stage", "Journey", "Arrivals", "Failed", "Response p50", "p95", "p99"]
    rows = [
        [
            ("", "", f"{escape(phase.label)}, {format_duration(phase.seconds)}"),
            ("", "Journey", escape(part.label)),
            ("n", "Arrivals", f"{part.tally.arrivals:,}"),
            ("n", "Failed", f"{part.measured.count('failed'):,}"),
            *(
                ("n", f"Response {name}", _quantile(part.series.response, q))
                for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
            ),
        ]
        for phase in report.phases
        for part in phase.parts
    ]
    note = ""
    if report.facts.warmup:
        warmup = format_duration(report.facts.warmup)
        note = f'<p class="note">The first {warmup} were warm-up: sent, but not counted.</p>'
    return f"<section><h2>Stages</h2>{_table(columns, rows)}{note}</section>"


def _trouble(report: Report) -> str:
    rows = [_lost_row(part) for part in report.journeys if part.tally.abandoned]
    for part in report.steps:
        said = {reason: text for _, reason, text in part.examples}
        rows += [
            [
                ("", "", f"{escape(part.target.journey)} / {escape(part.target.name)}"),
                ("", "Reason", f"<code>{escape(reason)}</code>"),
                ("n", "Count", f"{count:,}"),
                ("wide", "For example", escape(said.get(reason, ""))),
            ]
            for reason, count in part.series.reasons.most_common()
        ]
    if not rows:
        return '<section><h2>What went wrong</h2><p class="note">Nothing.</p></section>'
    columns = ["Step", "Reason", "Count", "For example"]
    return f"<section><h2>What went wrong</h2>{_table(columns, rows)}</section>"


def _lost_row(part: Part) -> list[Cell]:
    return [
        ("", "", escape(part.label)),
        ("", "Reason", "<code>timeout</code>"),
        ("n", "Count", f"{part.tally.abandoned:,}"),
        ("wide", "For example", "had no end when the run was over, and was given up"),
    ]


def _validity(report: Report) -> str:
    seen, limits, bad = report.evidence, Limits(), {d.cause for d in report.verdict.doubts}
    achieved = None if not seen.planned else seen.on_time / seen.planned
    rows = [
        _criterion("Arrivals in time", Cause.ACHIEVED_RATE, _percent(achieved),
                   f"at least {limits.achieved:.0%}", bad),
        _criterion("Lateness of arrivals, p99", Cause.LATENESS, _ms(seen.lateness.quantile(0.99)),
                   f"at most {_ms(report.lateness_limit)}", bad),
        _criterion("Stalls of the event loop, p99", Cause.LOOP_LAG,
                   _ms(seen.loop_lag.quantile(0.99)), f"at most {_ms(limits.loop_lag_p99)}", bad),
        _criterion("CPU of a worker, worst 5 s", Cause.CPU, _percent(seen.cpu),
                   f"at most {limits.cpu:.0%}", bad),
        _criterion("CPU wanted but not given", Cause.STARVATION, _percent(seen.starvation),
                   f"at most {starvation_limit(seen, limits):.0%}", bad),
        _criterion("CPU taken by the host (steal)", Cause.STEAL, _percent(seen.steal),
                   f"at most {limits.steal:.0%}", bad),
        _criterion("File descriptors", Cause.FILE_DESCRIPTORS, _percent(seen.file_descriptors),
                   f"at most {limits.file_descriptors:.0%}", bad),
        _criterion("Workers lost", Cause.WORKER_LOST, str(len(seen.lost)), "none", bad),
        _criterion("Counters add up", Cause.COUNTERS, "yes" if seen.adds_up else "no", "yes", bad),
    ]  # fmt: skip
    columns = ["Did the generator measure itself?", "Observed", "Limit", "Result"]
    return f"<section><h2>Can this be trusted?</h2>{_table(columns, rows)}</section>"


def _criterion(name: str, cause: Cause, value: str, limit: str, bad: set[Cause]) -> list[Cell]:
    word, state = ("✗ no", "broken") if cause in bad else ("✓ good", "kept")
    return [
        ("", "", name),
        ("n", "Observed", value),
        ("n", "Limit", limit),
        ("n", "Result", f'<span class="state {state}">{word}</span>'),
    ]


def _footer(report: Report) -> str:
    facts = report.facts
    versions = ", ".join(f"{name} {number}" for name, number in facts.versions.items())
    words = (
        f"Model: {facts.model}. Seed {facts.seed}, {facts.workers} worker(s), run {facts.run_id}, "
        f"environment {facts.environment}. {versions}."
    )
    return f"<footer>{escape(words)}</footer>"


def _table(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    kinds = [cell[0] for cell in rows[0]] if rows else [""] * len(columns)
    head = "".join(
        f'<th scope="col" class="{kind}">{escape(column)}</th>'
        for column, kind in zip(columns, kinds, strict=True)
    )
    body = "".join(f"<tr>{_row(row)}</tr>" for row in rows)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="card">{table}</div>'


def _row(cells: Sequence[Cell]) -> str:
    first, *rest = cells
    return f'<th scope="row">{first[2]}</th>' + "".join(
        f'<td class="{kind}" data-label="{escape(label)}"><span>{html}</span></td>'
        for kind, label, html in rest
    )


def _quantile(latency: Latency, q: float) -> str:
    return _ms(latency.quantile(q))


def _ms(value: float | None) -> str:
    if value is None:
        return "–"
    if value >= 10:
        return f"{value:.1f} s"
    return f"{value * 1000:,.0f} ms" if value >= 0.1 else f"{value * 1000:.3g} ms"


def _percent(value: float | None) -> str:
    return "not told" if value is None else f"{value:.1%}"
