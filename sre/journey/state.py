"""What does one run know, what has it done, and how did it begin?"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

from sre.core.errors import UsageError
from sre.core.secrets import Redactor, redactor
from sre.journey.ids import random_name
from sre.journey.model import DataFile, Journey
from sre.journey.result import StepResult
from sre.journey.send import Exchange
from sre.journey.shop import Shop
from sre.journey.template import Scope

__all__ = ["DataExhausted", "RunContext", "RunState", "VirtualUser", "begin"]


@dataclass(slots=True)
class VirtualUser:
    """What stays of one customer between runs: only journeys with `setup` keep anything."""

    number: int = 0
    values: dict[str, Any] = field(default_factory=dict, repr=False)
    cookies: dict[str, str] = field(default_factory=dict, repr=False)
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
        resend: steps that are sent a second time with the same idempotency key, on purpose.
        trace: 32 hexadecimal digits; every request carries them in a W3C `traceparent`.
    """

    shop: Shop
    now: Callable[[], float]
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex[:16])
    user: VirtualUser = field(default_factory=VirtualUser)
    sequence: int = 0
    seed: int | str | None = None
    mode: Literal["probe", "load"] = "probe"
    trace: str = ""
    resend: frozenset[str] = frozenset()


@dataclass(slots=True)
class RunState:
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

    @property
    def load(self) -> bool:
        return self.context.mode == "load"


def begin(journey: Journey, context: RunContext) -> RunState:
    rng = Random(context.seed)  # noqa: S311  variety, not secrecy
    user = context.user
    masks = Redactor(redactor)
    scope = Scope({}, rng, context.run_id, user.number, mask=masks.mask)
    exchange = Exchange(context.shop, scope, context.now, user.cookies, masks, trace=context.trace)
    state = RunState(journey, context, scope, context.now(), random_name(), masks, exchange)
    state.deadline = state.begun + journey.timeout
    state.due = state.begun
    _evaluate(state)
    return state


def _evaluate(state: RunState) -> None:
    scope, journey, user = state.scope, state.journey, state.context.user
    if journey.data is not None:
        scope.values.update(_row(state, journey.data))
    for var in journey.vars:
        value = var.template.typed(scope) if var.template is not None else var.value
        if var.secret:
            state.redactor.add(str(value))
        scope.values[var.name] = value
    if user.ready:
        scope.values.update(user.values)
    for secret in scope.seen_secrets:
        state.redactor.add(secret)


def _row(state: RunState, data: DataFile) -> dict[str, str]:
    sequence = state.context.sequence
    if data.pick == "random":
        return dict(zip(data.columns, state.scope.rng.choice(data.rows), strict=True))
    if data.pick == "unique" and sequence >= len(data.rows):
        raise DataExhausted(
            f"{data.file}: all {len(data.rows)} rows are used; add rows, or pick: sequential"
        )
    return dict(zip(data.columns, data.rows[sequence % len(data.rows)], strict=True))


class DataExhausted(UsageError):
    """`pick: unique` ran out of rows."""
