"""What does the status page say? (frozen; no markup, no clock)"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from typing import Literal

from sre.journey.shop import Shop
from sre.probes.model import Check
from sre.slo.model import Objective

__all__ = [
    "Budget",
    "Component",
    "Declared",
    "Incident",
    "Limit",
    "Maintenance",
    "Proof",
    "State",
    "StatusPage",
    "Step",
]


class State(StrEnum):
    """How something stands, worst first. Bounded: people and programs read these words."""

    FAILING = "failing"
    SLOW = "slow"
    UNKNOWN = "unknown"
    WORKS = "works"

    @property
    def rank(self) -> int:
        """0 is the worst."""
        return list(State).index(self)


@dataclass(frozen=True)
class Maintenance:
    """Announced work: failures of `names` in it are no surprise.

    Attributes:
        begins, ends: seconds since the epoch.
    """

    name: str
    begins: float
    ends: float
    names: tuple[str, ...] = ()

    def covers(self, moment: float) -> bool:
        """Whether it goes on then."""
        return self.begins <= moment < self.ends


@dataclass(frozen=True)
class Incident:
    """Something was broken: seen by probes, or told by whoever opened an incident.

    Attributes:
        names: the probes that saw it; of a told one what it says of itself.
        ended: None while it goes on.
        because: the step and reason of the first failure, or the severity.
        told: opened by people, not found by probes.
    """

    names: tuple[str, ...]
    began: float
    ended: float | None
    because: str = ""
    told: bool = False


@dataclass(frozen=True)
class Limit:
    """Something that the shop has given up for now, on purpose.

    Attributes:
        name: of the level.
        says: to customers.
        since: seconds since the epoch; None: not known.
    """

    name: str
    says: str
    since: float | None = None


def _no_plans(_now: float) -> tuple[Maintenance, ...]:
    return ()


@dataclass(frozen=True)
class Declared:
    """What sre.yaml says that the page is about.

    Attributes:
        databases: names whose backups are expected to be verified.
        plans: announced maintenance around a moment, past ones of its day included.
    """

    shop: Shop
    checks: tuple[Check, ...] = ()
    objectives: tuple[Objective, ...] = ()
    databases: tuple[str, ...] = ()
    plans: Callable[[float], Sequence[Maintenance]] = _no_plans

    @property
    def runbooks(self) -> tuple[str, ...]:
        """The ids of the runbooks that objectives name, in their order, each once."""
        return tuple(dict.fromkeys(o.runbook for o in self.objectives if o.runbook))


@dataclass(frozen=True)
class Step:
    """One step of the last run of a journey."""

    name: str
    state: State
    seconds: float
    reason: str = ""


@dataclass(frozen=True)
class Component:
    """One probe, or one journey under watch.

    Attributes:
        since: when it came into this state, seconds since the epoch; None before the first run.
        step, reason: of the run that decided, bounded; `why` says the same in words.
        detail: what exactly was seen: masked, cut, without addresses.
        seconds: how long the last run with a verdict took.
        ran: when the last run ended, with a verdict or without.
        note: what is unusual about the last run, when it had no verdict.
        hour: mean seconds of each of the last 60 minutes, oldest first; None: no good run.
        day: the worst of each of the last 48 half hours, oldest first; None: no run.
        good, total: events of the last day.
        brief: it works and is one of many: its charts are left out.
        maintenance: the announced work that it is in now.
    """

    name: str
    kind: str
    every: float
    state: State
    journey: str | None = None
    since: float | None = None
    step: str = ""
    reason: str = ""
    why: str = ""
    detail: str = ""
    note: str = ""
    seconds: float | None = None
    ran: float | None = None
    hour: tuple[float | None, ...] = ()
    day: tuple[State | None, ...] = ()
    good: int = 0
    total: int = 0
    steps: tuple[Step, ...] = ()
    brief: bool = False
    maintenance: str = ""

    @property
    def because(self) -> str:
        """`payment: status`, `status`, or nothing; slow says no more than the state."""
        reason = "" if self.reason == self.state else self.reason
        return ": ".join(part for part in (self.step, reason) if part)


@dataclass(frozen=True)
class Budget:
    """One objective and what is left of it.

    Attributes:
        promise: the objective in words.
        left: share of the error budget, below 0 when overspent; None: no events yet.
        burn: times the sustainable rate over the shortest window; None: no events in it.
        burn_window: that window, seconds.
        fires: which alert its burn rates would raise now.
        covered: seconds of history that there are, at most the window.
        curve: what was left of this budget after each sixtieth of the covered time, oldest first.
    """

    name: str
    promise: str
    window: float
    burn_window: float
    left: Fraction | None = None
    burn: Fraction | None = None
    fires: Literal["", "ticket", "page"] = ""
    bad: int = 0
    total: int = 0
    covered: float = 0.0
    curve: tuple[float, ...] = ()

    @property
    def spent(self) -> bool:
        """Whether nothing is left."""
        return self.left is not None and self.left <= 0

    @property
    def full(self) -> bool:
        """Whether there is history for all of the window, but for its first hour at most."""
        return self.covered >= self.window - 3600


@dataclass(frozen=True)
class Proof:
    """The last time that something was proven: a backup restored, a runbook rehearsed, a drill run.

    Attributes:
        good: None while there is no proof yet.
        words: `restored and checked`, `failed`, `none yet`.
        at: seconds since the epoch.
        seconds: how long it took (of a backup: the recovery time).
        id: of the backup, or of the run.
        ran: when the thing itself last went well: a backup was taken, a runbook was followed.
        failed: when it last failed to, if that was the last attempt.
    """

    topic: Literal["backup", "runbook", "drill"]
    name: str
    good: bool | None = None
    words: str = "none yet"
    at: float | None = None
    seconds: float | None = None
    id: str = ""
    ran: float | None = None
    failed: float | None = None


@dataclass(frozen=True)
class StatusPage:
    """Everything the page shows.

    Attributes:
        now: when it was made, seconds since the epoch.
        sentence: how the shop is, in one sentence.
        details: what else must be known, a sentence each.
        notes: about the page itself (a history that was lost, say).
        incidents: of the last month, the latest first.
        plans: maintenance of today and what is announced, the next first.
        limits: what is given up for now, on purpose.
    """

    now: float
    shop: str
    environment: str
    state: State
    sentence: str
    details: tuple[str, ...] = ()
    components: tuple[Component, ...] = ()
    budgets: tuple[Budget, ...] = ()
    proofs: tuple[Proof, ...] = ()
    notes: tuple[str, ...] = field(default=())
    incidents: tuple[Incident, ...] = ()
    plans: tuple[Maintenance, ...] = ()
    limits: tuple[Limit, ...] = ()
