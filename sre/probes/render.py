"""How are the results of `probe run` shown, and which exit code do they make? (pure)"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sre.core.console import table
from sre.core.masking import masked
from sre.journey.result import PHASES, Outcome, Row, StepResult
from sre.probes.model import Gauge, Reading
from sre.probes.runner import Result

__all__ = ["as_data", "as_json", "as_text", "exit_code"]

SCHEMA = "sre.probe-run/1"

_WORST: tuple[tuple[int, Callable[[Reading], bool]], ...] = (
    (5, lambda reading: reading.outcome is Outcome.BLOCKED),
    (1, lambda reading: reading.outcome is Outcome.FAILED and not reading.is_prober),
    (8, lambda reading: reading.is_prober),
    (4, lambda reading: reading.outcome is Outcome.THROTTLED),
    (3, lambda reading: reading.outcome in (Outcome.DEGRADED, Outcome.REFUSED)),
)


def exit_code(results: Sequence[Result]) -> int:
    """The documented code: the first of blocked, failed, prober, throttled, degraded or refused."""
    for code, present in _WORST:
        if any(present(result.reading) for result in results):
            return code
    return 0


def as_json(results: Sequence[Result]) -> str:
    """One document of schema `sre.probe-run/1`, secrets masked."""
    data = {"schema": SCHEMA, "results": [as_data(result) for result in results]}
    return json.dumps(masked(data), indent=2)


def as_data(result: Result) -> dict[str, Any]:
    """One result as JSON-ready data; each redirect hop, retry and resend is a row of `steps`."""
    reading = result.reading
    return {
        "probe": result.probe,
        "kind": result.kind,
        "outcome": reading.outcome.value,
        "reason": reading.reason.value,
        "message": reading.message,
        "seconds": round(reading.seconds, 6),
        "started": _iso(result.started),
        "run_id": reading.run_id,
        "ambiguous": reading.ambiguous,
        "steps": [_row(row) for step in reading.steps for row in _rows(step)],
        "numbers": [_number(gauge) for gauge in reading.gauges],
    }


def _number(gauge: Gauge) -> dict[str, Any]:
    """A number as /metrics of `probe serve` would show it."""
    return {"name": gauge.name, "labels": dict(gauge.labels), "value": gauge.value}


def as_text(results: Sequence[Result], *, numbers: bool = False) -> str:
    """A line for each probe, then the steps of each with their phases; numbers where wanted."""
    lines = [
        (r.probe, r.reading.outcome, r.reading.reason, _ms(r.reading.seconds), r.reading.message)
        for r in results
    ]
    right = ("time",)
    parts = [table(("probe", "outcome", "reason", "time", "message"), lines, right=right)]
    parts += [_steps(result) for result in results if result.reading.steps]
    if numbers:
        parts += [_numbers(result) for result in results if result.reading.gauges]
    return "\n".join(parts).rstrip("\n")


def _numbers(result: Result) -> str:
    rows = [
        (gauge.name, ", ".join(f"{k}={v}" for k, v in gauge.labels), f"{gauge.value:.10g}")
        for gauge in result.reading.gauges
    ]
    return table((f"{result.probe}: number", "labels", "value"), rows, right=("value",))


def _steps(result: Result) -> str:
    used = {phase for step in result.reading.steps for phase in step.phases}
    phases = [phase for phase in PHASES if phase in used]
    rows = [
        (
            _label(row),
            row.outcome,
            row.reason,
            row.status,
            _ms(row.seconds),
            *(_ms(row.phases.get(phase)) for phase in phases),
        )
        for step in result.reading.steps
        for row in _rows(step)
    ]
    head = (result.probe, "outcome", "reason", "status", "time", *phases)
    return table(head, rows, right=("status", "time", *phases))


def _label(row: Row) -> str:
    hop = f" hop {row.hop}" if row.hop else ""
    again = f" try {row.attempt + 1}" if row.attempt else ""
    return f"{row.step}{hop}{again}{' (cleanup)' if row.cleanup else ''}"


def _rows(step: StepResult) -> Iterator[Row]:
    """Its requests; a step that ended before it sent any is a row by itself."""
    yield from step.rows or (
        Row(
            step.name,
            step.outcome,
            step.seconds,
            group=step.group,
            reason=step.reason,
            status=step.status,
            started=step.started,
            cleanup=step.cleanup,
            message=step.message,
        ),
    )


def _row(row: Row) -> dict[str, Any]:
    return {
        "step": row.step,
        "group": row.group,
        "outcome": row.outcome.value,
        "reason": row.reason.value,
        "message": row.message,
        "status": row.status,
        "seconds": round(row.seconds, 6),
        "started": round(row.started, 6),
        "phases": {p: round(row.phases[p], 6) for p in PHASES if p in row.phases},
        "hop": row.hop,
        "attempt": row.attempt,
        "cleanup": row.cleanup,
    }


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.1f} ms"


def _iso(moment: float) -> str:
    utc = datetime.datetime.fromtimestamp(moment, datetime.UTC)
    return utc.isoformat(timespec="milliseconds").replace("+00:00", "Z")
