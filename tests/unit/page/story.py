"""What does a page with something of everything look like? A made-up day, the same each time."""

from __future__ import annotations

import random
from dataclasses import replace

from sre.core.facts import Fact
from sre.core.units import Share
from sre.journey.result import Outcome, Reason, StepResult
from sre.page.build import Moment, build
from sre.page.history import History, subject_of
from sre.page.model import Maintenance, StatusPage
from sre.probes.runner import Result
from tests.unit.page.made import NOON, check, declared, failed, objective, run, step

JOURNEYS = {"browse": 60.0, "checkout": 60.0, "api_checkout": 120.0}
PROBES = {"home": "http", "ready": "http", "database": "tcp", "machine": "host"}
STEPS = ("home", "search", "product", "add_to_cart", "cart", "coupon", "address_form", "checkout")
OBJECTIVES = (
    objective(runbook="checkout-failing"),
    objective("checkout-fast", below=2.0, severity="ticket", runbook="checkout-slow"),
    objective("home-available", probe="home", target=Share(0.999)),
)
FACTS = (
    Fact("backup.orders", {"id": "20261121T035920Z-orders-full", "level": 3, "at": NOON - 28800,
                           "rto_seconds": 41.2}, NOON),
    Fact("runbook.checkout-failing", {"last_rehearsal": {
        "run": "r-7", "at": NOON - 3 * 86400, "result": "passed", "seconds": 74.0}}, NOON),
    Fact("drill/primary-dies", {"id": "d-3", "at": NOON - 12 * 86400, "verdict": "passed",
                                "rto_seconds": 21.4}, NOON),
    Fact("incident/41", {"title": "Prices of one supplier wrong", "severity": "minor",
                         "opened": NOON - 5 * 86400, "closed": NOON - 4.9 * 86400}, NOON),
)  # fmt: skip
PLANS = (
    Maintenance("database update", NOON - 2400, NOON + 1200, ("machine", "database")),
    Maintenance("new payment provider", NOON + 86400, NOON + 90000, ("checkout",)),
)


def a_bad_day() -> StatusPage:
    """Twenty hours; for half an hour checkout fails, home is slow, and one probe is silent."""
    rng, history, steps = random.Random(3), History(), dict[str, tuple[StepResult, ...]]()
    subjects = [subject_of(one) for one in OBJECTIVES]
    for minute in range(-20 * 60, 1):
        for name in (*JOURNEYS, *PROBES):
            if minute * 60 % JOURNEYS.get(name, 60.0) == 0:
                result = _run(name, minute, rng)
                steps[name] = result.reading.steps
                if name != "machine" or minute <= -30:
                    history.add(result, NOON + minute * 60, subjects)
    checks = [check(name, every=every) for name, every in JOURNEYS.items()]
    checks += [replace(check(n, journey=False), kind=kind) for n, kind in PROBES.items()]
    things = declared(
        *checks, objectives=OBJECTIVES, databases=("orders",), plans=lambda _now: PLANS
    )
    return build(things, Moment(NOON, history, steps, FACTS))


def _run(name: str, minute: int, rng: random.Random) -> Result:
    journey = name in JOURNEYS
    usual = {"checkout": 0.22, "browse": 0.09, "api_checkout": 0.13}.get(name, 0.004)
    seconds = max(0.001, rng.gauss(usual, usual / 8))
    many = tuple(step(one, seconds=rng.uniform(0.005, 0.03)) for one in STEPS)
    if name == "api_checkout" and -400 < minute < -380:
        return failed(name, "cart", seconds=seconds)
    if name == "checkout" and (minute > -31 or -400 < minute < -390):
        broken = failed(seconds=seconds)
        end = broken.reading.steps[-1]
        return replace(broken, reading=replace(broken.reading, steps=(*many, end)))
    if name == "home" and minute > -12:
        seconds = 0.7 + rng.random() / 5
        words = f"took {seconds:.3f} s, slow above 0.5 s"
        return run(name, Outcome.DEGRADED, Reason.SLOW, seconds=seconds, message=words,
                   journey=False)  # fmt: skip
    slow = name == "browse" and rng.random() < 0.004
    how = (Outcome.DEGRADED, Reason.SLOW) if slow else (Outcome.OK, Reason.NONE)
    return run(name, *how, seconds=seconds, steps=many[:4] if journey else (), journey=journey)
