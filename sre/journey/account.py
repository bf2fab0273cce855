"""How is what happened in a run written down: rows, step results, the journey's result?"""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping

from sre.journey.exchange import Response
from sre.journey.judge import Judged
from sre.journey.model import Journey, Step
from sre.journey.result import JourneyResult, Outcome, Reason, Row, StepResult
from sre.journey.send import Sent
from sre.journey.state import RunState

__all__ = ["journey_result", "rows_of", "step_result", "stopped"]

_MOVED = Judged(Outcome.OK)


def rows_of(state: RunState, step: Step, sent: Sent, judged: Judged, begun: float) -> list[Row]:
    """A row for each hop; one without a status where nothing could be sent."""
    hops = sent.hops or [Response(started=begun, ended=begun)]
    last = len(hops) - 1
    row = _row_of(state, step, hops[last], judged, last, sent.attempt)
    if last == 0:
        return [row]
    moved = [_row_of(state, step, hops[hop], _MOVED, hop, sent.attempt) for hop in range(last)]
    return [*moved, row]


def _row_of(
    state: RunState, step: Step, response: Response, judged: Judged, hop: int, attempt: int
) -> Row:
    return Row(
        step.name,
        judged.outcome,
        response.ended - response.started,
        step.group,
        judged.reason,
        response.status or None,
        response.phases,
        hop,
        attempt,
        response.started - state.begun,
        len(response.body),
        state.exchange.cleanup,
        state.redactor.mask(judged.message) if judged.message else "",
    )


def step_result(
    state: RunState, step: Step, sent: Sent, judged: Judged, begun: float, rows: list[Row]
) -> StepResult:
    started = rows[0].started if rows else begun - state.begun
    ended = rows[-1].started + rows[-1].seconds if rows else started
    return StepResult(
        step.name,
        judged.outcome,
        ended - started,
        step.group,
        judged.reason,
        (sent.hops[-1].status or None) if sent.hops else None,
        min(started, state.due),
        started,
        tuple(rows),
        judged.retry_after,
        state.exchange.cleanup,
        state.redactor.mask(judged.message) if judged.message else "",
    )


def stopped(state: RunState, why: str) -> StepResult:
    at = state.context.now() - state.begun
    return StepResult(
        "", Outcome.FAILED, 0.0, reason=Reason.PROBER, due=at, started=at, message=why
    )


def journey_result(state: RunState) -> JourneyResult:
    deciding = [result for result in state.results if not result.cleanup]
    degraded = Outcome.DEGRADED
    slow = next((r for r in deciding if r.outcome is degraded), None)
    end = state.ended_by or slow
    return JourneyResult(
        journey=state.journey.name,
        outcome=end.outcome if end else Outcome.OK,
        reason=end.reason if end else Reason.NONE,
        message=end.message if end else "",
        failed_step=state.ended_by.name or None if state.ended_by else None,
        seconds=sum(result.seconds for result in deciding),
        run_id=state.context.run_id,
        steps=tuple(state.results),
        values=_Values(state),
        ambiguous=bool(state.exchange.unknown),
        key=state.exchange.idempotency_key,
    )


class _Values(Mapping[str, object]):
    """What was extracted and may be shown, masked when it is looked at: most runs never are."""

    def __init__(self, state: RunState) -> None:
        self._state = state
        self._found: dict[str, object] | None = None

    def _all(self) -> dict[str, object]:
        if self._found is None:
            state = self._state
            shown = _shown_of(state.journey)
            self._found = {
                name: _masked(state, value)
                for name, value in state.scope.values.items()
                if name in shown
            }
        return self._found

    def __getitem__(self, name: str) -> object:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def items(self) -> ItemsView[str, object]:
        return self._all().items()

    def __repr__(self) -> str:
        return repr(self._all())

    def __reduce__(self) -> tuple[type[dict[str, object]], tuple[dict[str, object]]]:
        return dict, (self._all(),)


def _masked(state: RunState, value: object) -> object:
    """A page may give back a secret in any place; text alone can hold one."""
    if isinstance(value, str):
        return state.redactor.mask(value)
    if isinstance(value, list):
        return [_masked(state, item) for item in value]
    if isinstance(value, dict):
        return {key: _masked(state, item) for key, item in value.items()}
    return value


def _shown_of(journey: Journey) -> frozenset[str]:
    """Extracted values may be shown unless they are secret; declared ones stay where they are."""
    known = _SHOWN.get(id(journey))
    if known is None or known[0] is not journey:
        if len(_SHOWN) >= _MOST_JOURNEYS:
            _SHOWN.clear()
        extractors = [e for step in journey.all_steps for e in step.extract if not e.masked]
        known = _SHOWN[id(journey)] = (journey, frozenset(e.name for e in extractors))
    return known[1]


_SHOWN: dict[int, tuple[Journey, frozenset[str]]] = {}
_MOST_JOURNEYS = 1024
