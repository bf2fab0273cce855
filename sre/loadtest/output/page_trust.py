"""Can one trust the report: was the generator sound, is every customer accounted for? (pure)"""

from __future__ import annotations

from html import escape

from sre.loadtest.judge.report import Part, Report
from sre.loadtest.judge.validity import Cause, Limits, starvation_limit
from sre.loadtest.output.page_table import Cell, head, ms, number, percent, section, table

__all__ = ["accounts", "footer", "validity"]

_NOT_OURS = frozenset({Cause.INVARIANT_UNKNOWN, Cause.NOT_COMPARABLE})
_NAMES = {
    Cause.NO_ARRIVALS: "Somebody came",
    Cause.NO_SAMPLES: "Each journey was answered",
    Cause.TOO_FEW_SAMPLES: "Enough samples for each threshold",
    Cause.DROPPED: "No arrival was dropped unjudged",
    Cause.BLOCKED: "No journey was led off the allow-list",
    Cause.PROBER: "No fault of the generator's own",
    Cause.UNGATED_FAILURES: "No failures that no threshold judges",
}


def validity(report: Report) -> str:
    """Every criterion, kept or not."""
    seen, limits, bad = report.evidence, Limits(), {d.cause for d in report.verdict.doubts}
    achieved = None if not seen.planned else seen.on_time / seen.planned
    rows = [
        (Cause.ACHIEVED_RATE, "Arrivals in time", percent(achieved),
         f"at least {limits.achieved:.0%}"),
        (Cause.LATENESS, "Lateness of arrivals, p99", ms(seen.lateness.quantile(0.99)),
         f"at most {ms(report.lateness_limit)}"),
        (Cause.LOOP_LAG, "Stalls of the event loop, p99", ms(seen.loop_lag.quantile(0.99)),
         f"at most {ms(limits.loop_lag_p99)}"),
        (Cause.CPU, "CPU of a worker, worst 5 s", percent(seen.cpu), f"at most {limits.cpu:.0%}"),
        (Cause.STARVATION, "CPU wanted but not given", percent(seen.starvation),
         f"at most {starvation_limit(seen, limits):.0%}"),
        (Cause.STEAL, "CPU taken by the host (steal)", percent(seen.steal),
         f"at most {limits.steal:.0%}"),
        (Cause.FILE_DESCRIPTORS, "File descriptors", percent(seen.file_descriptors),
         f"at most {limits.file_descriptors:.0%}"),
        (Cause.WORKER_LOST, "Workers lost", str(len(seen.lost)), "none"),
        (Cause.COUNTERS, "Counters add up", "yes" if seen.adds_up else "no", "yes"),
    ]  # fmt: skip
    shown = {cause for cause, *_ in rows}
    counts = {cause: sum(d.cause is cause for d in report.verdict.doubts) for cause in Cause}
    rows += [
        (cause, _NAMES.get(cause, cause.value.replace("_", " ").capitalize()),
         f"{counts[cause]} against" if counts[cause] else "nothing against", "none")
        for cause in Cause
        if cause not in shown and (cause in bad or (cause in _NAMES and cause not in _NOT_OURS))
    ]  # fmt: skip
    columns = ["Did the generator measure itself?", "Observed", "Limit", "Result"]
    return section("Can this be trusted?", table(columns, [_criterion(*r, bad) for r in rows]))


def _criterion(cause: Cause, name: str, value: str, limit: str, bad: set[Cause]) -> list[Cell]:
    word, state = ("✗ no", "broken") if cause in bad else ("✓ good", "kept")
    result = f'<span class="state {state}">{word}</span>'
    return [head(name), number("Observed", value), number("Limit", limit), number("Result", result)]


def accounts(report: Report) -> str:
    """What became of every customer, so that nothing is lost between the numbers."""
    columns = ["Journey", "Came", "Could not start", "Started", "Ended", "Given up", "Unknown"]
    note = (
        "Came is could not start plus started; started is ended plus given up. Unknown are "
        "journeys whose order may have been placed without an answer telling so: look for them in "
        "the shop's data. The warm-up is left out."
    )
    rows = [_account(part) for part in report.journeys]
    return section(
        "Every customer accounted for", table(columns, rows), f'<p class="note">{note}</p>'
    )


def _account(part: Part) -> list[Cell]:
    tally = part.tally
    counts = (
        ("Came", tally.arrivals), ("Could not start", tally.dropped), ("Started", tally.started),
        ("Ended", tally.finished), ("Given up", tally.abandoned), ("Unknown", tally.ambiguous),
    )  # fmt: skip
    return [head(part.label), *(number(name, f"{count:,}") for name, count in counts)]


def footer(report: Report) -> str:
    """What one must know to run it again."""
    facts = report.facts
    versions = ", ".join(f"{name} {number}" for name, number in facts.versions.items())
    words = (
        f"Model: {facts.model}. Seed {facts.seed}, {facts.workers} worker(s), run {facts.run_id}, "
        f"environment {facts.environment}. {versions}."
    )
    return f"<footer>{escape(words)}</footer>"
