"""How is what happened in a run written down: rows, step results, the journey's result?"""

from __future__ import annotations

from sre.journey.exchange import Response
from sre.journey.judge import Judged
from sre.journey.model import Step
from sre.journey.result import JourneyResult, Outcome, Reason, Row, StepResult
from sre.journey.send import Sent
from sre.journey.state import RunState

__all__ = ["journey_result", "rows_of", "step_result", "stopped"]


def rows_of(state: RunState, step: Step, sent: Sent, judged: Judged, begun: float) -> list[Row]:
    """A row for each hop; one without a status where nothing could be sent."""
    hops = sent.hops or [Response(started=begun, ended=begun)]
    return [
        _row_of(state, step, response, judged if last else Judged(Outcome.OK), hop, sent.attempt)
        for hop, response in enumerate(hops)
        for last in [hop == len(hops) - 1]
    ]


def _row_of(
    state: RunState, step: Step, response: Response, judged: Judged, hop: int, attempt: int
) -> Row:
    return Row(
        step=step.name,
        group=step.group,
        outcome=judged.outcome,
        reason=judged.reason,
        status=response.status or None,
        seconds=response.ended - response.started,
        phases=dict(response.phases),
        hop=hop,
        attempt=attempt,
        started=response.started - state.begun,
        received_bytes=len(response.body),
        cleanup=state.exchange.cleanup,
        message=state.redactor.mask(judged.message) if judged.message else "",
    )


def step_result(
    state: RunState, step: Step, sent: Sent, judged: Judged, begun: float, rows: list[Row]
) -> StepResult:
    started = rows[0].started if rows else begun - state.begun
    ended = rows[-1].started + rows[-1].seconds if rows else started
    return StepResult(
        name=step.name,
        group=step.group,
        outcome=judged.outcome,
        reason=judged.reason,
        status=(sent.response.status or None) if sent.hops else None,
        seconds=ended - started,
        due=min(state.due, started),
        started=started,
        rows=tuple(rows),
        retry_after=judged.retry_after,
        cleanup=state.exchange.cleanup,
        message=state.redactor.mask(judged.message) if judged.message else "",
    )


def stopped(state: RunState, why: str) -> StepResult:
    at = state.context.now() - state.begun
    return StepResult(
        "", Outcome.FAILED, 0.0, reason=Reason.PROBER, due=at, started=at, message=why
    )


def journey_result(state: RunState) -> JourneyResult:
    deciding = [result for result in state.results if not result.cleanup]
    slow = next((r for r in deciding if r.outcome is Outcome.DEGRADED), None)
    end = state.ended_by or slow
    hidden = {name for name in state.scope.values if not _shown(state, name)}
    return JourneyResult(
        journey=state.journey.name,
        outcome=end.outcome if end else Outcome.OK,
        reason=end.reason if end else Reason.NONE,
        message=end.message if end else "",
        failed_step=state.ended_by.name or None if state.ended_by else None,
        seconds=sum(result.seconds for result in deciding),
        run_id=state.context.run_id,
        steps=tuple(state.results),
        values={k: _masked(state, v) for k, v in state.scope.values.items() if k not in hidden},
        ambiguous=bool(state.exchange.unknown),
        key=state.exchange.idempotency_key,
    )


def _masked(state: RunState, value: object) -> object:
    """A page may give back a secret in any place; text alone can hold one."""
    if isinstance(value, str):
        return state.redactor.mask(value)
    if isinstance(value, list):
        return [_masked(state, item) for item in value]
    if isinstance(value, dict):
        return {key: _masked(state, item) for key, item in value.items()}
    return value


def _shown(state: RunState, name: str) -> bool:
    """Extracted values may be shown unless they are secret; declared ones stay where they are."""
    return any(
        extractor.name == name and not extractor.masked
        for step in state.journey.all_steps
        for extractor in step.extract
    )
