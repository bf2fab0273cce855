"""Does a shop that gets the same request twice do it once? (sans-I/O)

The second request has the key and the body of the first, as after a lost answer. Its time belongs
to nobody: no customer waits for it.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

from sre.journey.account import rows_of
from sre.journey.exchange import Request, Response, Wait
from sre.journey.judge import Judged, judge
from sre.journey.model import Step
from sre.journey.page import Page
from sre.journey.result import Outcome, Reason, StepResult
from sre.journey.send import send
from sre.journey.state import RunState

__all__ = ["decided", "sent_again"]


def decided(first: StepResult) -> bool:
    """Whether the shop took the order, or refused it: what a second request must not change."""
    return first.outcome.good or first.outcome is Outcome.REFUSED


def sent_again(
    state: RunState, step: Step, key: str, attempt: int, ends: float, first: StepResult
) -> Generator[Request | Wait, Response | None, StepResult]:
    """`first` once more. A second answer with another outcome fails the step.

    Then the shop has said two things about one order, so nobody knows what came of it.
    """
    sent = yield from send(state.exchange, step, key, attempt, ends)
    second = sent.error
    if second is None:
        page = Page(sent.response, sent.url, state.exchange.cookies, sent.seconds)
        picked = {name: set(seen) for name, seen in state.picked.items()}
        second = judge(step, page, state.scope, picked)
    rows = (*first.rows, *rows_of(state, step, sent, second, state.context.now()))
    if _same(first.outcome, second.outcome):
        return replace(first, rows=rows)
    state.exchange.unknown.add(key)
    message = (
        f"sent again with the same idempotency key: {second.outcome.value} where the first answer "
        f"was {first.outcome.value}{_why(second)}"
    )
    return replace(
        first,
        outcome=Outcome.FAILED,
        reason=second.reason or Reason.STATUS,
        message=state.redactor.mask(message),
        rows=rows,
    )


def _same(first: Outcome, second: Outcome) -> bool:
    """Slow is no other outcome, and a shop may ask to come again later."""
    return first is second or (first.good and second.good) or second is Outcome.THROTTLED


def _why(second: Judged) -> str:
    return f" ({second.message})" if second.message else ""
