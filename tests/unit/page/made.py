"""What do the page's tests make: checks, runs, declarations and a history to look at?"""

from __future__ import annotations

from typing import Any

from sre.core.units import Duration, Share
from sre.journey.result import Outcome, Reason, StepResult
from sre.journey.shop import Shop
from sre.page.history import History, Subject
from sre.page.model import Declared
from sre.probes.model import Check, Reading
from sre.probes.runner import Result
from sre.slo.model import Objective

NOON = 1_795_262_400.0
"""Saturday, 21 November 2026, 12:00 UTC."""

SHOP = Shop("demo", "http://127.0.0.1:18080", "staging")


class NoProbe:
    """Never asked."""

    def check(self, context: Any) -> Reading:
        raise NotImplementedError


def check(name: str = "checkout", *, journey: bool = True, every: float = 60.0) -> Check:
    kind = "journey" if journey else "http"
    return Check(name, kind, NoProbe(), every=every, journey=name if journey else None)


def step(
    name: str, outcome: Outcome = Outcome.OK, seconds: float = 0.02, **more: Any
) -> StepResult:
    return StepResult(name, outcome, seconds, **more)


def run(
    probe: str = "checkout",
    outcome: Outcome = Outcome.OK,
    reason: Reason = Reason.NONE,
    *,
    seconds: float = 0.1,
    message: str = "",
    steps: tuple[StepResult, ...] = (),
    journey: bool = True,
) -> Result:
    reading = Reading(
        outcome, seconds, reason, message, steps, journey=probe if journey else None, run_id="r"
    )
    return Result(probe, "journey" if journey else "http", reading, 0.0)


def failed(probe: str = "checkout", at_step: str = "payment", **more: Any) -> Result:
    """A journey that failed in a step with status 500."""
    bad = step(at_step, Outcome.FAILED, reason=Reason.STATUS, status=500)
    more = {"message": "expected status 200, got 500", **more}
    return run(probe, Outcome.FAILED, Reason.STATUS, steps=(step("home"), bad), **more)


def objective(name: str = "checkout-available", **more: Any) -> Objective:
    given = {"journey": "checkout"} if not {"probe", "step", "journey"} & more.keys() else {}
    fields = {"target": Share(0.99), "owner": "shop", **given, **more}
    for key in ("below", "window"):
        if key in fields:
            fields[key] = Duration(fields[key])
    return Objective(name, **fields)


def declared(*checks: Check, objectives: tuple[Objective, ...] = (), **more: Any) -> Declared:
    return Declared(SHOP, checks, objectives, **more)


def played(*events: tuple[float, Result], subjects: tuple[Subject, ...] = ()) -> History:
    """A history of runs that ended at these moments."""
    history = History()
    for at, result in events:
        history.add(result, at, subjects)
    return history
