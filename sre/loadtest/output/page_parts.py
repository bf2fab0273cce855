"""What was seen of each journey, step and stage, and what went wrong where? (pure)"""

from __future__ import annotations

from html import escape

from sre.core.units import format_duration
from sre.loadtest.judge.report import Part, Report
from sre.loadtest.output.page_table import Cell, code, head, ms, number, quantile, section, table
from sre.loadtest.trace import Exemplar

__all__ = ["exemplars", "parts", "stages", "trouble"]

_HOW = (
    "Response time counts from the moment a customer was due, so that a shop which stands still "
    "cannot hide the customers who came meanwhile; service time is what the shop took. Each "
    "percentile is the worse of two: over good answers alone, and over good answers and failures."
)
_CLOSED = (
    "Closed model: virtual users wait for answers, so a slow shop gets fewer requests, and what "
    "was not sent is in no percentile. Use `mix` for a gate."
)


def parts(report: Report) -> str:
    """Journeys, steps and groups with their outcomes; response beside service time."""
    columns = [
        "Journey or step", "Ok", "Failed", "Refused", "Throttled", "Response p50", "p95", "p99",
        "Max", "Service p50", "p95",
    ]  # fmt: skip
    rows = [_part(part, f"<b>{escape(part.label)}</b>") for part in report.journeys]
    rows += [_part(part, escape(part.label)) for part in report.steps]
    rows += [_part(part, f"group {escape(part.label)}") for part in report.groups]
    notes = f'<p class="note">{_HOW}</p>'
    if report.facts.model == "closed":
        notes += f'<p class="note">{_CLOSED}</p>'
    return section("Journeys and steps", table(columns, rows), notes)


def _part(part: Part, label: str) -> list[Cell]:
    seen, response, service = part.measured, part.series.response, part.series.service
    return [
        ("", "", label),
        *(number(name.capitalize(), f"{seen.count(name):,}")
          for name in ("ok", "failed", "refused", "throttled")),
        number("Response p50", quantile(response, 0.5)),
        number("Response p95", quantile(response, 0.95)),
        number("Response p99", quantile(response, 0.99)),
        number("Response max", quantile(response, 1.0)),
        number("Service p50", quantile(service, 0.5)),
        number("Service p95", quantile(service, 0.95)),
    ]  # fmt: skip


def stages(report: Report) -> str:
    """Each stage with its journeys."""
    columns = ["Stage", "Journey", "Arrivals", "Failed", "Response p50", "p95", "p99"]
    rows = [
        [
            head(f"{phase.label}, {format_duration(phase.seconds)}"),
            ("", "Journey", escape(part.label)),
            number("Arrivals", f"{part.tally.arrivals:,}"),
            number("Failed", f"{part.measured.count('failed'):,}"),
            *(
                number(f"Response {name}", quantile(part.series.response, q))
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
    return section("Stages", table(columns, rows), note)


def trouble(report: Report) -> str:
    """Reasons of each step, the most frequent of a step first, with an example of each."""
    rows = [_lost(part) for part in report.journeys if part.tally.abandoned]
    most = max((n for part in report.steps for n in part.series.reasons.values()), default=1)
    for part in report.steps:
        said = {reason: text for _, reason, text in part.examples}
        rows += [
            [
                head(f"{part.target.journey} / {part.target.name}"),
                ("", "Reason", code(reason)),
                number("Count", f"{count:,}{_bar(count / most)}"),
                ("wide", "For example", escape(said.get(reason, ""))),
            ]
            for reason, count in part.series.reasons.most_common()
        ]
    if not rows:
        return section("What went wrong", '<p class="note">Nothing.</p>')
    return section("What went wrong", table(["Step", "Reason", "Count", "For example"], rows))


def _bar(share: float) -> str:
    return f'<i class="bar" style="width:{max(0.02, share) * 100:.0f}%"></i>'


def _lost(part: Part) -> list[Cell]:
    return [
        head(part.label),
        ("", "Reason", code("timeout")),
        number("Count", f"{part.tally.abandoned:,}"),
        ("wide", "For example", "had no end when the run was over, and was given up"),
    ]


def exemplars(report: Report) -> str:
    """Traces of the slowest and of failed requests, to look up in the shop's own tracing."""
    rows = [
        row
        for part in report.steps
        for row in (*(_exemplar(part, one) for one in part.broken),
                    *(_exemplar(part, one) for one in part.slow))
    ]  # fmt: skip
    if not rows:
        return ""
    columns = ["Step", "Why", "Response", "Due after", "Trace"]
    note = (
        "Every request carried a W3C traceparent; these are the slowest of each step and of its "
        "failures. Look them up in the tracing of the shop, or as trace id in its logs."
    )
    inner = f'{table(columns, rows)}<p class="note">{note}</p>'
    count = f"{len(rows)} traces of the slowest and of failed steps"
    return section("Traces to look at", f"<details><summary>{count}</summary>{inner}</details>")


def _exemplar(part: Part, one: Exemplar) -> list[Cell]:
    return [
        head(f"{part.target.journey} / {part.target.name}"),
        ("", "Why", code(one.reason) if one.reason else "slow"),
        number("Response", ms(one.response)),
        number("Due after", f"{one.at:,.1f} s"),
        ("wide", "Trace", code(one.trace)),
    ]
