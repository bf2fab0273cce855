"""What does the master tell a worker about the run, and how does that become a plan? (pure)

A sheet is JSON: names and numbers, never a journey, never a secret. The worker takes journeys, shop
and secrets from its own sre.yaml, through the code that a local run takes; the curve of the load
comes from the master, who may have changed it (a search for the capacity does).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sre.core.errors import UsageError
from sre.journey.model import Journey
from sre.journey.shop import Shop, Targets
from sre.loadtest.cluster.address import Address
from sre.loadtest.crew.wire import WorkerPlan
from sre.loadtest.job import Job
from sre.loadtest.model import LoadTest
from sre.loadtest.shape import Shape

__all__ = ["Offer", "Setup", "planned", "sheet_of"]


@dataclass(frozen=True)
class Setup:
    """What the parent tells the master, its child, by their pipe.

    Attributes:
        expect: how many workers.
        sheet: as for worker 0 of them.
        shares: max_in_flight of each.
        digests: what each worker must have compiled.
    """

    listen: Address
    key: str | None
    expect: int
    sheet: dict[str, Any]
    shares: tuple[int, ...]
    digests: dict[str, str]
    versions: dict[str, str]
    report: int
    log_level: str


@dataclass(frozen=True)
class Offer:
    """What a host tells a worker process, its child, by their pipe: its declaration.

    Attributes:
        wait: seconds that it waits for a master.
    """

    master: Address
    key: str | None
    wait: float
    loadtests: dict[str, LoadTest]
    journeys: dict[str, Journey]
    shop: Shop
    targets: Targets
    versions: dict[str, str]
    log_level: str


def sheet_of(plan: WorkerPlan, name: str) -> dict[str, Any]:
    """The sheet of load test `name`; JSON-ready."""
    return {
        "test": name,
        "run_id": plan.run_id,
        "worker": plan.worker,
        "workers": plan.workers,
        "shape": plan.shape.to_plain(),
        "journeys": list(plan.journeys),
        "users": plan.users,
        "max_in_flight": plan.max_in_flight,
        "slot": plan.slot,
        "drain": plan.drain,
        "log_level": plan.log_level,
    }


def planned(sheet: dict[str, Any], offer: Offer) -> WorkerPlan:
    """The plan of this worker. Raises UsageError when its own sre.yaml cannot make it."""
    from sre.loadtest.runner import plan_of  # noqa: PLC0415  the runner knows crews

    try:
        name, wanted = sheet["test"], sheet["journeys"]
        if name not in offer.loadtests:
            raise UsageError(f"its sre.yaml has no load test {name!r}")
        missing = [journey for journey in wanted if journey not in offer.journeys]
        if missing:
            raise UsageError(f"its sre.yaml has no journey {missing[0]!r}")
        job = Job(name, offer.loadtests[name], offer.journeys, offer.shop, offer.targets)
        plan = plan_of(job, int(sheet["workers"]), str(sheet["run_id"]), str(sheet["log_level"]))
        users = sheet["users"]
        return replace(
            plan,
            worker=int(sheet["worker"]),
            shape=Shape.from_plain(sheet["shape"]),
            journeys={journey: offer.journeys[journey] for journey in wanted},
            users=None if users is None else int(users),
            max_in_flight=int(sheet["max_in_flight"]),
            slot=float(sheet["slot"]),
            drain=float(sheet["drain"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"it cannot read the plan ({error}); are the versions the same?"
        ) from error
