"""How do the results of `probe run` read for a CI job, as JUnit XML? (pure)"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Literal

from sre.core.junit import Case, document
from sre.core.secrets import redactor
from sre.journey.result import PHASES, Outcome, Row, StepResult
from sre.probes.runner import Result

__all__ = ["as_junit"]

Tag = Literal["", "failure", "error"]

_TAGS: dict[Outcome, Tag] = {
    Outcome.FAILED: "failure",
    Outcome.BLOCKED: "error",
    Outcome.THROTTLED: "error",
}


def as_junit(results: Sequence[Result], seconds: float) -> str:
    """One case for each probe, secrets masked.

    A probe that failed is a failure; one that was blocked, throttled or failed through ourselves
    says nothing about the shop and is an error; degraded and refused pass, and say so in
    `system-out`. Each request is a property.
    """
    started = min((result.started for result in results), default=0.0)
    moment = datetime.datetime.fromtimestamp(started, datetime.UTC)
    stamp = moment.isoformat(timespec="seconds").removesuffix("+00:00")
    cases = [_case(result) for result in results]
    return document("sre probe run", cases, seconds=seconds, timestamp=stamp)


def _case(result: Result) -> Case:
    reading = result.reading
    tag: Tag = "error" if reading.is_prober else _TAGS.get(reading.outcome, "")
    message = redactor.mask(reading.message)
    why = reading.reason.value or reading.outcome.value
    words = ": ".join(word for word in (reading.outcome.value, reading.reason.value, message)
                      if word)  # fmt: skip
    return Case(
        name=result.probe,
        group=f"probe.{result.kind}",
        seconds=reading.seconds,
        tag=tag,
        kind=why if tag else "",
        message=(message or why) if tag else "",
        output="" if tag or reading.outcome is Outcome.OK else words,
        properties=tuple(_properties(result)),
    )


def _properties(result: Result) -> list[tuple[str, str]]:
    rows = [(row, place) for place, row in enumerate(_rows(result), 1)]
    told = [(f"step {place} {row.step}", redactor.mask(_words(row))) for row, place in rows]
    run = result.reading.run_id
    return [("run_id", run), *told] if run else told


def _rows(result: Result) -> list[Row]:
    return [row for step in result.reading.steps for row in (step.rows or (_bare(step),))]


def _bare(step: StepResult) -> Row:
    """A step that ended before it sent anything."""
    return Row(step.name, step.outcome, step.seconds, reason=step.reason, message=step.message)


def _words(row: Row) -> str:
    parts = [row.outcome.value, row.reason.value, str(row.status or ""), f"{row.seconds:.3f} s"]
    parts += [f"{phase} {row.phases[phase]:.3f} s" for phase in PHASES if phase in row.phases]
    parts += [row.message]
    return ", ".join(part for part in parts if part)
