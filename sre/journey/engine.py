"""In which order does a run send, judge and extract, and when does it stop? (sans-I/O)

`run` is a generator: it yields `Request` and `Wait`, is sent `Response` (None for a Wait) and
returns a `JourneyResult`. One engine serves the probe, which drives it with libcurl in a thread,
and the load test, which drives a thousand of them on one event loop.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

from sre.core.errors import SreError, UsageError
from sre.core.secrets import Redactor, redactor
from sre.journey.exchange import Request, Response, Wait
from sre.journey.judge import Judged, judge, judge_until
from sre.journey.model import Block, Condition, Journey, Range, Step
from sre.journey.page import Page
from sre.journey.result import JourneyResult, Outcome, Reason, Row, StepResult
from sre.journey.send import Exchange, Sent, send
from sre.journey.shop import Shop
from sre.journey.template import MissingVariable, Scope

__all__ = ["Cancelled", "DataExhausted", "RunContext", "VirtualUser", "run"]

Steps = Generator[Request | Wait, Response | None, None]


class Cancelled(Exception):  # noqa: N818  a word from the driver, not a fault
    """Thrown into the generator: stop now, but clean up. The result comes as usual."""


@dataclass(slots=True)
class VirtualUser:
    """What stays of one customer between runs: only journeys with `setup` keep anything."""

    number: int = 0
    values: dict[str, Any] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)
    ready: bool = False


@dataclass(slots=True)
class RunContext:
    """Everything a run depends on besides the journey.

    Attributes:
        now: monotonic seconds; the driver's Responses carry times of the same clock.
        run_id: marks every request of a probe's run, or of a whole load test.
        sequence: which run of this journey it is, from 0; picks the data row.
        seed: fixes random picks; None draws one.
        mode: pauses and repeats happen under load alone.
    """

    shop: Shop
    now: Callable[[], float]
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex[:16])
    user: VirtualUser = field(default_factory=VirtualUser)
    sequence: int = 0
    seed: int | str | None = None
    mode: Literal["probe", "load"] = "probe"


@dataclass(slots=True)
class _State:
    """One run as it goes: what it knows, what it has done, how it stands."""

    journey: Journey
    context: RunContext
    scope: Scope
    begun: float
    key: str
    redactor: Redactor
    exchange: Exchange
    deadline: float = 0.0
    due: float = 0.0
    picked: dict[str, set[Any]] = field(default_factory=dict)
    results: list[StepResult] = field(default_factory=list)
    ended_by: StepResult | None = None
    ambiguous: bool = False

    @property
    def load(self) -> bool:
        return self.context.mode == "load"


def run(
    journey: Journey, context: RunContext
) -> Generator[Request | Wait, Response | None, JourneyResult]:
    """Drive one run of `journey`.

    Never raises for what the shop does. What we cannot do ourselves (an environment variable that
    is not set, data rows used up) is a failure with reason `prober`.
    """
    try:
        state = _begin(journey, context)
    except (SreError, MissingVariable) as error:
        reason = Reason.PROBER
        return JourneyResult(
            journey.name, Outcome.FAILED, 0.0, context.run_id, reason, redactor.mask(str(error))
        )
    try:
        yield from _all(state)
    except Cancelled:
        state.ended_by = _stopped(state, "cancelled")
    yield from _cleanup(state)
    return _result(state)


def _begin(journey: Journey, context: RunContext) -> _State:
    rng = Random(context.seed)  # noqa: S311  variety, not secrecy
    user = context.user
    scope = Scope({}, rng, context.run_id, user.number)
    masks = Redactor(redactor)
    exchange = Exchange(context.shop, scope, context.now, user.cookies, masks)
    state = _State(journey, context, scope, context.now(), uuid.uuid4().hex, masks, exchange)
    state.deadline = state.begun + journey.timeout
    state.due = state.begun
    _evaluate(state)
    return state


def _evaluate(state: _State) -> None:
    scope, journey, user = state.scope, state.journey, state.context.user
    if journey.data is not None:
        row = _row(state)
        scope.values.update(row)
    for var in journey.vars:
        value = var.template.typed(scope) if var.template is not None else var.value
        if var.secret:
            state.redactor.add(str(value))
        scope.values[var.name] = value
    if user.ready:
        scope.values.update(user.values)
    for secret in scope.seen_secrets:
        state.redactor.add(secret)


def _row(state: _State) -> dict[str, str]:
    data, sequence = state.journey.data, state.context.sequence
    assert data is not None  # noqa: S101  the caller asked
    if data.pick == "random":
        return dict(zip(data.columns, state.scope.rng.choice(data.rows), strict=True))
    if data.pick == "unique" and sequence >= len(data.rows):
        raise DataExhausted(
            f"{data.file}: all {len(data.rows)} rows are used; add rows, or pick: sequential"
        )
    return dict(zip(data.columns, data.rows[sequence % len(data.rows)], strict=True))


class DataExhausted(UsageError):
    """`pick: unique` ran out of rows."""


def _all(state: _State) -> Steps:
    user, journey = state.context.user, state.journey
    if journey.setup and not user.ready:
        yield from _blocks(state, journey.setup)
        if state.ended_by is not None:
            return
        user.ready = True
        user.values = {
            name: state.scope.values[name] for name in journey.kept if name in state.scope.values
        }
        state.deadline = state.context.now() + journey.timeout
    yield from _blocks(state, journey.blocks)


def _blocks(state: _State, blocks: Iterable[Block]) -> Steps:
    for block in blocks:
        for number in range(_times(state, block.repeat)):
            if not _wanted(state, block.when, block.unless):
                break
            for step in block.steps:
                yield from _repeated(state, step, number)
                if state.ended_by is not None:
                    return


def _repeated(state: _State, step: Step, outer: int) -> Steps:
    for number in range(_times(state, step.repeat)):
        if not _wanted(state, step.when, step.unless):
            return
        result = yield from _step(state, step, f"{state.key}/{step.name}/{outer}/{number}")
        state.results.append(result)
        state.due = state.context.now() - state.begun
        if not result.outcome.good:
            state.ended_by = result
            return
        if step.pause is not None and state.load:
            yield from _think(state, step.pause)


def _think(state: _State, pause: Range) -> Steps:
    seconds = state.scope.rng.uniform(pause.low, pause.high)
    state.due += seconds
    state.deadline += seconds
    yield Wait(seconds, thinking=True)


def _times(state: _State, repeat: Range | None) -> int:
    if repeat is None or not state.load:
        return 1
    return state.scope.rng.randint(int(repeat.low), int(repeat.high))


def _wanted(state: _State, when: tuple[Condition, ...], unless: tuple[Condition, ...]) -> bool:
    return all(_holds(state, c) for c in when) and not any(_holds(state, c) for c in unless)


def _holds(state: _State, condition: Condition) -> bool:
    if condition.name is not None:
        return state.scope.values.get(condition.name) is not None
    assert condition.left is not None  # noqa: S101  one of the two, see the compiler
    assert condition.right is not None  # noqa: S101
    try:
        same = condition.left.render(state.scope) == condition.right.render(state.scope)
    except MissingVariable:
        return False
    return same != condition.negated


def _step(
    state: _State, step: Step, key: str
) -> Generator[Request | Wait, Response | None, StepResult]:
    """One step: sent, sent again by `retry` or `until`, judged, extracted from."""
    rows: list[Row] = []
    begun = state.context.now()
    until_ends = begun + step.until.within if step.until else None
    retries = step.retry.times if step.retry else 0
    attempt = 0
    while True:
        sent = yield from send(state.exchange, step, key, attempt, _left(state, step, until_ends))
        state.ambiguous |= sent.uncertain and not step.safe
        judged = _judge(state, step, sent)
        rows += _rows(state, step, sent, judged, begun)
        pause = None
        if step.until is not None and judged.again:
            pause = _next_poll(state, step.until.every, until_ends)
            if pause is None:
                judged = judged.given_up(step.until.within)
                rows[-1] = _rows(state, step, sent, judged, begun)[-1]
        elif step.retry is not None and judged.reason in step.retry.errors and retries > 0:
            retries -= 1
            pause = step.retry.pause
        if pause is None:
            return _step_result(state, step, sent, judged, begun, rows)
        yield Wait(pause)
        attempt += 1


def _judge(state: _State, step: Step, sent: Sent) -> Judged:
    if sent.error is not None:
        return sent.error
    page = Page(sent.response, sent.url, state.exchange.cookies, sent.seconds)
    state.exchange.last = sent.url
    decide = judge if step.until is None else judge_until
    judged = decide(step, page, state.scope, state.picked)
    for name, value, secret in judged.values:
        state.scope.values[name] = value
        if secret and len(str(value)) >= 3:
            state.redactor.add(str(value))
    return judged


def _left(state: _State, step: Step, until_ends: float | None) -> float:
    """The moment at which this attempt must be over."""
    now = state.context.now()
    ends = min(now + step.timeout, state.deadline)
    return min(ends, until_ends) if until_ends is not None else ends


def _next_poll(state: _State, every: float, ends: float | None) -> float | None:
    now = state.context.now()
    ends = min(ends if ends is not None else now, state.deadline)
    return every if now + every < ends else None


def _rows(state: _State, step: Step, sent: Sent, judged: Judged, begun: float) -> list[Row]:
    """A row for each hop; one without a status where nothing could be sent."""
    hops = sent.hops or [Response(started=begun, ended=begun)]
    return [
        _row_of(state, step, response, judged if last else Judged(Outcome.OK), hop, sent.attempt)
        for hop, response in enumerate(hops)
        for last in [hop == len(hops) - 1]
    ]


def _row_of(
    state: _State, step: Step, response: Response, judged: Judged, hop: int, attempt: int
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
        message=state.redactor.mask(judged.message),
    )


def _step_result(
    state: _State, step: Step, sent: Sent, judged: Judged, begun: float, rows: list[Row]
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
        message=state.redactor.mask(judged.message),
    )


def _stopped(state: _State, why: str) -> StepResult:
    at = state.context.now() - state.begun
    return StepResult(
        "", Outcome.FAILED, 0.0, reason=Reason.PROBER, due=at, started=at, message=why
    )


def _cleanup(state: _State) -> Steps:
    """Runs always, on a budget of its own; a step whose variables do not exist is left out."""
    if not state.journey.cleanup or (state.ended_by is not None and not state.results):
        return
    ended_by, results = state.ended_by, state.results
    state.ended_by, state.results = None, []
    state.exchange.cleanup = True
    state.deadline = state.context.now() + state.journey.cleanup_timeout
    for block in state.journey.cleanup:
        for step in block.steps:
            if step.needs <= state.scope.values.keys():
                state.ended_by = None
                yield from _blocks(state, [Block((step,), block.when, block.unless)])
    state.ended_by, state.results = ended_by, results + state.results


def _result(state: _State) -> JourneyResult:
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
        values={k: v for k, v in state.scope.values.items() if k not in hidden},
        ambiguous=state.ambiguous,
    )


def _shown(state: _State, name: str) -> bool:
    """Extracted values may be shown unless they are secret; declared ones stay where they are."""
    return any(
        extractor.name == name and not extractor.masked
        for step in state.journey.all_steps
        for extractor in step.extract
    )
