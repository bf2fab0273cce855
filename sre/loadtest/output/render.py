"""How does a verdict read on a terminal and in a CI job? (pure)"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from sre.core.junit import Case, document
from sre.core.units import format_duration
from sre.loadtest.judge.finding import Finding
from sre.loadtest.judge.report import Part, Report
from sre.loadtest.judge.verdict import Check, State, VerdictName, show

__all__ = ["Table", "junit", "text"]

Table = Callable[..., str]
"""`sre.core.console.table`: columns, rows, `right=` names of columns aligned to the right."""

_ENDS = {
    "ok": True, "failed": True, "refused": True, "throttled": False, "blocked": False,
    "prober": False, "dropped": True,
}  # fmt: skip
"""What can become of a journey, and whether its column is there even if that never happened."""

_WORDS = {State.KEPT: "kept", State.BROKEN: "BROKEN", State.UNKNOWN: "unknown"}


def text(report: Report, table: Table) -> str:
    """The verdict, the reasons, thresholds and journeys."""
    facts = report.facts
    lines = [f"{report.verdict.name.value.upper()}  {facts.name} against {facts.target}"]
    lines += [f"  {reason}" for reason in report.verdict.reasons]
    if report.verdict.name is VerdictName.FAILED:
        lines += [f"  besides: {doubt.text}" for doubt in report.verdict.doubts]
    if report.checks:
        rows = [_check_row(check) for check in report.checks]
        lines += ["", table(["threshold", "observed", "samples", ""], rows, right=["samples"])]
    if report.findings:
        rows = [
            [f.kind, f.name, f.value, f.expected, "shown" if f.informational else _WORDS[f.state]]
            for f in report.findings
        ]
        lines += ["", table(["", "name", "found", "expected", ""], rows)]
        notes = [f.problem for f in report.findings if f.informational and f.problem]
        lines += [f"  {note}" for note in dict.fromkeys(notes)]
    ends = [end for end, always in _ENDS.items() if always or _seen(report, end)]
    columns = ["journey", "arrivals", *ends, "p50", "p95", "p99"]
    rows = [_journey_row(part, ends) for part in report.journeys]
    lines += ["", table(columns, rows, right=columns[1:])]
    late = report.evidence.lateness.quantile(0.99)
    lines.append(
        f"response times, {facts.model}; generator lateness p99 {_ms(late)}, "
        f"{report.requests} requests in {format_duration(facts.seconds)}"
    )
    return "\n".join(line.rstrip("\n") for line in lines)


def _check_row(check: Check) -> list[str]:
    threshold = check.threshold
    return [
        threshold.expression,
        show(threshold.unit, check.value),
        str(check.samples),
        _WORDS[check.state],
    ]


def _seen(report: Report, end: str) -> bool:
    return any(part.measured.count(end) for part in report.journeys)


def _journey_row(part: Part, ends: Sequence[str]) -> list[str]:
    seen = part.measured
    latencies = [_ms(part.series.response.quantile(q)) for q in (0.5, 0.95, 0.99)]
    counts = [str(seen.count(name)) for name in ends]
    return [part.label, str(seen.arrivals), *counts, *latencies]


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value * 1000:.4g} ms"


def junit(report: Report) -> str:
    """JUnit XML: a test case for each threshold, one for the validity of the measurement.

    A broken threshold is a failure; what nobody can know, and an invalid run, are errors.
    """
    cases = [_case(check, report) for check in report.checks]
    cases += [_finding_case(f, report) for f in report.findings]
    cases.append(_validity_case(report))
    facts = report.facts
    name = f"loadtest {facts.name}"
    return document(name, cases, seconds=facts.seconds, timestamp=facts.started)


def _case(check: Check, report: Report) -> Case:
    latency_spoilt = check.threshold.is_latency and any(
        doubt.spoils_latency for doubt in report.verdict.doubts
    )
    observed = (
        f"observed {show(check.threshold.unit, check.value)}, limit {check.threshold.op} "
        f"{show(check.threshold.unit, check.threshold.limit)}, samples {check.samples}, "
        f"threshold {check.threshold.expression}"
    )
    case = Case(check.threshold.expression, "loadtest.thresholds")
    if check.state is State.KEPT:
        return case
    if check.state is State.BROKEN and not latency_spoilt:
        return replace(case, tag="failure", kind="broken", message=observed)
    kind = "unknown" if check.state is State.UNKNOWN else "untrusted"
    return replace(case, tag="error", kind=kind, message=observed)


def _finding_case(finding: Finding, report: Report) -> Case:
    case = Case(finding.name, f"loadtest.{finding.kind}s")
    expected = f", expected {finding.expected}" if finding.expected else ""
    message = f"found {finding.value}{expected}"
    message = f"{finding.problem}; {message}" if finding.problem else message
    if finding.informational:
        return replace(case, tag="skipped", message=message)
    if finding.state is State.KEPT:
        return case
    spoilt = finding.is_latency and any(doubt.spoils_latency for doubt in report.verdict.doubts)
    if finding.state is State.BROKEN and not spoilt:
        return replace(case, tag="failure", kind="broken", message=message)
    kind = "unknown" if finding.state is State.UNKNOWN else "untrusted"
    return replace(case, tag="error", kind=kind, message=message)


def _validity_case(report: Report) -> Case:
    words = [doubt.text for doubt in report.verdict.doubts]
    kind = "invalid"
    if report.verdict.name is VerdictName.ABORTED:
        words, kind = [*report.verdict.reasons, *words], "aborted"
    case = Case("the measurement can be trusted", "loadtest.validity")
    return replace(case, tag="error", kind=kind, message="; ".join(words)) if words else case
