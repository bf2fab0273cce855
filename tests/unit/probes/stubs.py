"""Probes that do what a test says, and plans made of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sre.journey.guard import Guard
from sre.journey.result import Outcome, Reason
from sre.journey.shop import Shop
from sre.probes.model import Check, ProbeContext, Reading
from sre.probes.plan import Plan

SHOP = Shop("test", "http://127.0.0.1:1")


@dataclass(frozen=True)
class Does:
    """Answers with what `act` returns."""

    act: Callable[[ProbeContext], Reading]

    def check(self, context: ProbeContext) -> Reading:
        return self.act(context)


def reading(
    outcome: Outcome = Outcome.OK, reason: Reason = Reason.NONE, seconds: float = 0.01
) -> Reading:
    return Reading(outcome, seconds, reason)


def good(_context: ProbeContext) -> Reading:
    return reading()


def crash(_context: ProbeContext) -> Reading:
    raise RuntimeError("a bug that knows hunter2-planted")


def hang(context: ProbeContext) -> Reading:
    threading.Event().wait(context.deadline.left() + 30)
    return reading()


def until_cancelled(context: ProbeContext) -> Reading:
    context.cancelled.wait(30)
    return reading(Outcome.FAILED, Reason.PROBER)


def check(
    name: str, act: Callable[[ProbeContext], Reading] = good, every: float = 60.0, **fields: object
) -> Check:
    return Check(name, "stub", Does(act), every, **fields)  # type: ignore[arg-type]


def plan(checks: Iterable[Check], **fields: object) -> Plan:
    return Plan(tuple(checks), SHOP, Guard((), SHOP.base_url), **fields)  # type: ignore[arg-type]
