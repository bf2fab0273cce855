"""How do a plan and a verdict read on a terminal and in a CI job? (pure)"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from sre.core.junit import Case, document
from sre.core.units import format_duration
from sre.loadtest.job import Job
from sre.loadtest.judge.report import Part, Report
from sre.loadtest.judge.verdict import Check, State, VerdictName, show

__all__ = ["Table", "junit", "plan_data", "plan_text", "text"]

Table = Callable[..., str]
"""`sre.core.console.table`: columns, rows, `right=` names of columns aligned to the right."""

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
    columns = ["journey", "arrivals", "ok", "failed", "refused", "dropped", "p50", "p95", "p99"]
    rows = [_journey_row(part) for part in report.journeys]
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


def _journey_row(part: Part) -> list[str]:
    seen = part.measured
    latencies = [_ms(part.series.response.quantile(q)) for q in (0.5, 0.95, 0.99)]
    counts = [str(seen.count(name)) for name in ("ok", "failed", "refused", "dropped")]
    return [part.label, str(seen.arrivals), *counts, *latencies]


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value * 1000:.4g} ms"


def junit(report: Report) -> str:
    """JUnit XML: a test case for each threshold, one for the validity of the measurement.

    A broken threshold is a failure; what nobody can know, and an invalid run, are errors.
    """
    cases = [_case(check, report) for check in report.checks]
    cases.append(_validity_case(report))
    facts = report.facts
    name = f"loadtest {facts.name}"
    return document(name, cases, seconds=facts.seconds, timestamp=facts.started)


def _case(check: Check, report: Report) -> Case:
    latency_spoilt = check.threshold.is_latency and any(
        doubt.spoils_latency for doubt in report.verdict.doubts
    )
    observed = (
        f"observed {show(check.threshold.unit, check.value)}, samples {check.samples}, "
        f"threshold {check.threshold.expression}"
    )
    case = Case(check.threshold.expression, "loadtest.thresholds")
    if check.state is State.KEPT:
        return case
    if check.state is State.BROKEN and not latency_spoilt:
        return replace(case, tag="failure", kind="broken", message=observed)
    kind = "unknown" if check.state is State.UNKNOWN else "untrusted"
    return replace(case, tag="error", kind=kind, message=observed)


def _validity_case(report: Report) -> Case:
    words = [doubt.text for doubt in report.verdict.doubts]
    kind = "invalid"
    if report.verdict.name is VerdictName.ABORTED:
        words, kind = [*report.verdict.reasons, *words], "aborted"
    case = Case("the measurement can be trusted", "loadtest.validity")
    return replace(case, tag="error", kind=kind, message="; ".join(words)) if words else case


def plan_data(job: Job, admitted: str | None, refused: str | None) -> dict[str, Any]:
    """What a run would do, JSON-ready (schema sre.loadtest-plan/1).

    Args:
        admitted: the pinned address; None when `refused` says why not.
    """
    return {
        "schema": "sre.loadtest-plan/1",
        "name": job.name,
        "target": job.shop.base_url,
        "environment": job.shop.environment or "not declared",
        "production": job.shop.is_production,
        "allowed": refused is None,
        "address": admitted,
        "refused": refused,
        "model": "closed" if job.test.closed else f"open, {job.test.arrivals} arrivals",
        "seed": job.test.seed,
        "seconds": job.shape.seconds,
        "warmup_seconds": float(job.test.warmup),
        "stages": [_stage(job, index) for index in range(len(job.shape.pieces))],
        "users": job.test.users,
        "arrivals": dict(job.expected),
        "requests": job.requests,
        "orders": job.orders,
        "peak_requests_per_second": round(job.peak_requests, 3),
        "workers_needed": job.workers_needed,
        "max_in_flight": job.test.max_in_flight,
        "min_samples": job.test.min_samples,
        "thresholds": list(job.test.thresholds),
    }


def _stage(job: Job, index: int) -> dict[str, Any]:
    piece = job.shape.pieces[index]
    return {
        "stage": piece.label,
        "start_seconds": piece.start,
        "seconds": piece.seconds,
        "from_per_second": {n: round(r * piece.first, 6) for n, r in job.shape.mix.items()},
        "to_per_second": {n: round(r * piece.last, 6) for n, r in job.shape.mix.items()},
        "from_percent": round(piece.first * 100, 3),
        "to_percent": round(piece.last * 100, 3),
    }


def plan_text(data: dict[str, Any], table: Table) -> str:
    """`plan_data` for people."""
    lines = [
        f"{data['name']}: {format_duration(data['seconds'])} against {data['target']} "
        f"({'production' if data['production'] else data['environment']})",
        f"target:   {_allowed(data)}",
        f"model:    {data['model']}, seed {data['seed']}",
        f"workers:  {data['workers_needed']} (500 requests/s each; the peak is "
        f"{data['peak_requests_per_second']:g}/s)",
        f"caps:     {data['max_in_flight']} journeys in flight",
        f"requests: about {data['requests']}",
        f"orders:   {data['orders'] or 'none'}",
        "",
        table(["stage", "at", "lasts", "rate"], [_stage_row(stage) for stage in data["stages"]]),
    ]
    if data["users"] is None:
        rows = [[name, count] for name, count in data["arrivals"].items()]
        lines.append(table(["journey", "arrivals"], rows, right=["arrivals"]))
    lines += [f"threshold {threshold}" for threshold in data["thresholds"]]
    return "\n".join(line.rstrip("\n") if line else "" for line in lines)


def _allowed(data: dict[str, Any]) -> str:
    if not data["allowed"]:
        return f"REFUSED: {data['refused']}"
    word = f"admitted, connects to {data['address']}"
    return f"{word}; needs --i-know-this-is-production" if data["production"] else word


def _stage_row(stage: dict[str, Any]) -> Sequence[str]:
    first, last = stage["from_percent"], stage["to_percent"]
    ends = [f"{name} {rate:g}/s" for name, rate in stage["to_per_second"].items()]
    level = f"{last:g}%" if first == last else f"{first:g}% to {last:g}%"
    rate = f"{level}: {', '.join(ends)}" if ends else level
    return [
        stage["stage"],
        format_duration(stage["start_seconds"]),
        format_duration(stage["seconds"]),
        rate,
    ]
