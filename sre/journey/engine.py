"""In which order does a run send, judge and extract, and when does it stop? (sans-I/O)

`run` is a generator: it yields `Request` and `Wait`, is sent `Response` (None for a Wait) and
returns a `JourneyResult`. One engine serves the probe, which drives it with libcurl in a thread,
and the load test, which drives a thousand of them on one event loop.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator

from sre.core.errors import Interrupted, Terminated, UsageError
from sre.core.secrets import redactor
from sre.journey.account import journey_result, rows_of, step_result, stopped
from sre.journey.exchange import Request, Response, Wait
from sre.journey.judge import Judged, judge, judge_until
from sre.journey.model import Block, Condition, Journey, LogNormal, Range, Retry, Step
from sre.journey.page import Page, Unusable
from sre.journey.resend import decided, sent_again
from sre.journey.result import JourneyResult, Outcome, Reason, Row, StepResult
from sre.journey.send import Sent, send
from sre.journey.state import DataExhausted, RunContext, RunState, VirtualUser, begin
from sre.journey.template import MissingVariable, as_text

__all__ = ["Cancelled", "DataExhausted", "RunContext", "VirtualUser", "run"]

Steps = Generator[Request | Wait, Response | None, None]


class Cancelled(Exception):  # noqa: N818  a word from the driver, not a fault
    """Thrown into the generator: stop now, but clean up. The result comes as usual.

    `sent`: the Request that the generator waits for may have reached the shop.
    """

    def __init__(self, *, sent: bool = True) -> None:
        super().__init__()
        self.sent = sent


def run(
    journey: Journey, context: RunContext
) -> Generator[Request | Wait, Response | None, JourneyResult]:
    """Drive one run of `journey`.

    Never raises for what the shop does. What we cannot do ourselves (an environment variable that
    is not set, data rows used up) is a failure with reason `prober`.
    """
    try:
        state = begin(journey, context)
    except (UsageError, MissingVariable) as error:
        reason = Reason.PROBER
        return JourneyResult(
            journey.name, Outcome.FAILED, 0.0, context.run_id, reason, redactor.mask(str(error))
        )
    interrupted: BaseException | None = None
    try:
        if journey.setup and not context.user.ready:
            yield from _set_up(state)
        if state.ended_by is None:
            yield from _each(state, _coming(state, journey.blocks))
    except Cancelled as cancelled:
        if cancelled.sent:
            state.exchange.sent = True
        else:
            state.exchange.unknown.discard(state.exchange.flying)
        state.ended_by = stopped(state, "cancelled")
    except (KeyboardInterrupt, Interrupted, Terminated) as error:  # a signal between two requests
        state.ended_by = stopped(state, "interrupted")
        interrupted = error
    yield from _cleanup(state)
    if interrupted is not None:
        raise interrupted
    return journey_result(state)


def _set_up(state: RunState) -> Steps:
    """Once for each customer; the journey's own time begins afterwards."""
    user, journey = state.context.user, state.journey
    yield from _each(state, _coming(state, journey.setup))
    if state.ended_by is not None:
        return
    user.ready = True
    user.values = {
        name: state.scope.values[name] for name in journey.kept if name in state.scope.values
    }
    state.deadline = state.context.now() + journey.timeout


def _coming(state: RunState, blocks: Iterable[Block]) -> Iterator[Step]:
    """The steps as their turn comes; conditions and repeats are asked about then, not before."""
    for block in blocks:
        for _ in range(_times(state, block.repeat)):
            if not _wanted(state, block.when, block.unless):
                break
            for part in block.parts:
                if isinstance(part, Block):
                    yield from _coming(state, (part,))
                elif part.plain:
                    yield part
                else:
                    yield from _repeated(state, part)


def _repeated(state: RunState, step: Step) -> Iterator[Step]:
    for _ in range(_times(state, step.repeat)):
        if not _wanted(state, step.when, step.unless):
            return
        yield step


def _each(state: RunState, steps: Iterator[Step]) -> Steps:
    """One step after the other, until one ends the run."""
    for step in steps:
        result = yield from _step(state, step, f"{state.key}/{step.name}/{len(state.results)}")
        state.results.append(result)
        state.due = state.context.now() - state.begun
        if not result.outcome.good:
            state.ended_by = result
            return
        if step.pause is not None and state.load:
            yield from _think(state, step.pause)


def _think(state: RunState, pause: Range | LogNormal) -> Steps:
    seconds = pause.draw(state.scope.rng)
    state.due += seconds
    state.deadline += seconds
    yield Wait(seconds, thinking=True)


def _times(state: RunState, repeat: Range | None) -> int:
    if repeat is None or not state.load:
        return 1
    return state.scope.rng.randint(int(repeat.low), int(repeat.high))


def _wanted(state: RunState, when: tuple[Condition, ...], unless: tuple[Condition, ...]) -> bool:
    if not (when or unless):
        return True
    return all(_holds(state, c) for c in when) and not any(_holds(state, c) for c in unless)


def _holds(state: RunState, condition: Condition) -> bool:
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
    state: RunState, step: Step, key: str
) -> Generator[Request | Wait, Response | None, StepResult]:
    """One step: sent, sent again by `retry` or `until`, judged, extracted from."""
    rows: list[Row] = []
    begun = state.context.now()
    until_ends = begun + step.until.within if step.until else None
    retries = step.retry.times if step.retry else 0
    attempt = 0
    while True:
        sent = yield from send(state.exchange, step, key, attempt, _left(state, step, until_ends))
        judged = _judge(state, step, sent)
        rows += rows_of(state, step, sent, judged, begun)
        pause = None
        if step.until is not None and judged.again:
            pause = _next_poll(state, step.until.every, until_ends)
            if pause is None:
                judged = judged.given_up(step.until.within)
                rows[-1] = rows_of(state, step, sent, judged, begun)[-1]
        elif step.retry is not None and retries > 0:
            retries -= 1
            pause = _before_retry(state, step.retry, judged, until_ends)
        if pause is None:
            result = step_result(state, step, sent, judged, begun, rows)
            if step.name in state.context.resend and decided(result):
                ends = _left(state, step, until_ends)
                return (yield from sent_again(state, step, key, attempt + 1, ends, result))
            return result
        yield Wait(pause)
        attempt += 1


def _before_retry(
    state: RunState, retry: Retry, judged: Judged, ends: float | None
) -> float | None:
    """How long to wait before sending again; None: this answer stands, or no time is left."""
    if judged.outcome is Outcome.THROTTLED and retry.throttled:
        pause = retry.pause if judged.retry_after is None else judged.retry_after
    elif judged.reason in retry.errors:
        pause = retry.pause
    else:
        return None
    ends = state.deadline if ends is None else min(ends, state.deadline)
    return pause if state.context.now() + pause < ends else None


def _judge(state: RunState, step: Step, sent: Sent) -> Judged:
    if sent.error is not None:
        return sent.error
    exchange = state.exchange
    page = Page(sent.hops[-1], sent.url, exchange.cookies, sent.seconds)
    exchange.last = exchange.referer = sent.url  # the next relative address begins there
    if step.extract:
        _hide(state, step, page)
    decide = judge if step.until is None else judge_until
    try:
        judged = decide(step, page, state.scope, state.picked)
    except UsageError as error:
        judged = Judged(Outcome.FAILED, Reason.PROBER, str(error))
    for name, value, _ in judged.values:
        state.scope.values[name] = value
    return judged


def _hide(state: RunState, step: Step, page: Page) -> None:
    """Mask what this step may extract as a secret, before any message can quote it."""
    for extractor in step.extract:
        if extractor.masked:
            try:
                found = extractor.candidates(page)
            except Unusable:
                continue
            for value in found:
                text = value if isinstance(value, str) else as_text(value)
                if len(text) >= 3:
                    state.redactor.add(text)


def _left(state: RunState, step: Step, until_ends: float | None) -> float:
    """The moment at which this attempt must be over."""
    now = state.context.now()
    ends = min(now + step.timeout, state.deadline)
    return min(ends, until_ends) if until_ends is not None else ends


def _next_poll(state: RunState, every: float, ends: float | None) -> float | None:
    now = state.context.now()
    ends = min(ends if ends is not None else now, state.deadline)
    return every if now + every < ends else None


def _cleanup(state: RunState) -> Steps:
    """Runs always, on a budget of its own; a step whose variables do not exist is left out."""
    if not state.journey.cleanup or not state.exchange.sent:
        return
    ended_by, results = state.ended_by, state.results
    state.ended_by, state.results = None, []
    state.exchange.cleanup = True
    state.deadline = state.context.now() + state.journey.cleanup_timeout
    yield from _tidy(state, state.journey.cleanup)
    state.ended_by, state.results = ended_by, results + state.results


def _tidy(state: RunState, blocks: Iterable[Block]) -> Steps:
    """One step after the other, whatever came of the one before."""
    for block in blocks:
        if not _wanted(state, block.when, block.unless):
            continue
        for part in block.parts:
            if isinstance(part, Block):
                yield from _tidy(state, (part,))
            elif part.needs <= state.scope.values.keys():
                state.ended_by = None
                yield from _undisturbed(_each(state, _repeated(state, part)))


def _undisturbed(steps: Steps) -> Steps:
    """Asked to stop while it cleans up: what was not sent yet is sent, the rest is left at that."""
    try:
        command = next(steps)
        while True:
            answer = None
            try:
                answer = yield command
            except Cancelled as cancelled:
                if isinstance(command, Request):
                    if cancelled.sent:
                        steps.close()
                        return
                    continue
            command = steps.send(answer)
    except StopIteration:
        return
