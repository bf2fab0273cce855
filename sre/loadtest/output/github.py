"""What does a pull request show of a load test: a summary and annotations? (pure)"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

from sre.core.ci import annotation
from sre.core.units import format_duration
from sre.loadtest.judge.finding import Finding, State
from sre.loadtest.judge.report import Report
from sre.loadtest.judge.verdict import Check, VerdictName, show

__all__ = ["markdown", "workflow_commands"]

_LIMIT = 200_000
_MOST = 10
_CELL = 400
_MARKS = {State.KEPT: "✅ kept", State.BROKEN: "❌ broken", State.UNKNOWN: "❔ unknown"}
_HEADS = {
    VerdictName.PASSED: "✅ passed",
    VerdictName.FAILED: "❌ failed",
    VerdictName.INVALID: "⚠️ invalid",
    VerdictName.ABORTED: "⏹️ aborted",
}
_DO = {
    VerdictName.PASSED: "",
    VerdictName.FAILED: "**What to do:** stop the release. report.html names step and reason.",
    VerdictName.INVALID: "**What to do:** nobody knows whether the shop holds. Mend what is said "
    "above and run it again; do not count it as passed.",
    VerdictName.ABORTED: "**What to do:** look why it was stopped, then run it again.",
}
_ORDER = {State.BROKEN: 0, State.UNKNOWN: 1, State.KEPT: 2}


def markdown(report: Report) -> str:
    """The verdict, why, what was judged, what to do; for github.md and the step's summary."""
    facts, verdict = report.facts, report.verdict
    lines = [f"## Load test {_safe(facts.name)}: {_HEADS[verdict.name]}", ""]
    arrivals = sum(part.tally.arrivals for part in report.journeys)
    lines += [
        f"{arrivals:,} customers in {format_duration(facts.seconds)} against "
        f"{_safe(facts.target)}; {_safe(facts.model)}.",
        "",
    ]
    lines += [f"- {_safe(reason)}" for reason in verdict.reasons]
    if verdict.name is VerdictName.FAILED:
        lines += [f"- besides: {_safe(doubt.text)}" for doubt in verdict.doubts]
    lines += _table(["Threshold", "Observed", "Samples", ""], map(_check, _sorted(report.checks)))
    found = sorted(report.findings, key=lambda each: _ORDER[each.state])
    lines += _table(["", "Name", "Found", "Expected", "", "What to know"], map(_finding, found))
    lines += _table(
        ["Journey", "Came", "Ok", "Failed", "Response p50", "p95", "p99", "Service p95"],
        (
            [part.label, f"{part.tally.arrivals:,}", f"{part.measured.count('ok'):,}",
             f"{part.measured.count('failed'):,}",
             *(show("seconds", part.series.response.quantile(q)) for q in (0.5, 0.95, 0.99)),
             show("seconds", part.series.service.quantile(0.95))]
            for part in report.journeys
        ),
    )  # fmt: skip
    lines += ["", _DO[verdict.name]] if _DO[verdict.name] else []
    return _cut("\n".join(lines) + "\n")


def workflow_commands(report: Report) -> list[str]:
    """Errors for what failed, warnings for what must not be trusted; nothing when it passed."""
    verdict = report.verdict
    if verdict.name is VerdictName.PASSED:
        return []
    title = f"load test {report.facts.name}: {verdict.name.value}"
    level: Literal["error", "warning"] = "error"
    if verdict.name is VerdictName.INVALID:
        level = "warning"
    found = [annotation(level, title, reason[:1000]) for reason in verdict.reasons[:_MOST]]
    if verdict.name is VerdictName.FAILED:
        doubts = verdict.doubts[:_MOST]
        found += [annotation("warning", title, doubt.text[:1000]) for doubt in doubts]
    return found


def _sorted(checks: Sequence[Check]) -> list[Check]:
    return sorted(checks, key=lambda check: _ORDER[check.state])


def _check(check: Check) -> Sequence[str]:
    threshold = check.threshold
    observed = show(threshold.unit, check.value)
    return [threshold.expression, observed, f"{check.samples:,}", _MARKS[check.state]]


def _finding(finding: Finding) -> Sequence[str]:
    mark = "shown only" if finding.informational else _MARKS[finding.state]
    return [finding.kind, finding.name, finding.value, finding.expected, mark, finding.problem]


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    body = [f"| {' | '.join(_safe(cell[:_CELL]) for cell in row)} |" for row in rows]
    if not body:
        return []
    return ["", f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}", *body]


def _safe(text: str) -> str:
    """Text as text: no HTML, no table borders, no links, no mentions, no control characters."""
    plain = re.sub(r"[\x00-\x1f\x7f\u202a-\u202e\u2066-\u2069]+", " ", text)
    plain = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    plain = re.sub(r"([\\`*_\[\]|~])", r"\\\1", plain)
    return plain.replace("@", "@<!-- -->").replace("#", "&#35;")


def _cut(text: str) -> str:
    if len(text) <= _LIMIT:
        return text
    kept = text[:_LIMIT].rpartition("\n")[0]
    return f"{kept}\n\n… and more: see report.html.\n"
