"""What is a probe, what does it get, and what does it give back?"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from sre.core.clock import Clock, Deadline
from sre.core.units import Duration
from sre.journey.result import Outcome, Reason, StepResult

if TYPE_CHECKING:
    from sre.core.secrets import Secret
    from sre.journey.guard import Guard
    from sre.journey.model import Journey
    from sre.journey.shop import Shop
    from sre.probes.facts import Facts

__all__ = [
    "GOOD",
    "Check",
    "CheckFields",
    "Gauge",
    "Probe",
    "ProbeContext",
    "Reading",
    "Result",
    "Retry",
    "check_from",
    "check_name",
]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")

_EVERY = Duration(60.0)
_TIMEOUT = Duration(5.0)
_WAIT = Duration(1.0)

GOOD = (Outcome.OK, Outcome.DEGRADED)
"""Outcomes that an objective counts as good."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """One number that a probe found, in base units.

    Attributes:
        name: the whole metric name, `sre_probe_...`, the same for every label set.
        help: one line; the first one that is seen for a name wins.
        labels: beside `probe`; names and values from a bounded set, never a URL or a message.
        counter: it only grows (its name ends in `_total`); otherwise it is a gauge.
    """

    name: str
    value: float
    help: str
    labels: tuple[tuple[str, str], ...] = ()
    counter: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """What one run of a probe found.

    Attributes:
        reason: bounded; empty unless it is degraded or failed. `prober` says that we are at fault.
        message: for people; never a label.
        seconds: how long the target took; work of ours is left out where the kind can tell.
        steps: of a journey all of them; of a single probe one, for its phases.
        journey, run_id: set when a journey ran.
        ambiguous: an order, say, may have been placed without our knowing.
    """

    outcome: Outcome
    seconds: float
    reason: Reason = Reason.NONE
    message: str = ""
    steps: tuple[StepResult, ...] = ()
    gauges: tuple[Gauge, ...] = ()
    journey: str | None = None
    run_id: str = ""
    ambiguous: bool = False

    @property
    def is_prober(self) -> bool:
        """Whether the failure is our own, and so no event of an objective."""
        return self.outcome is Outcome.FAILED and self.reason is Reason.PROBER

    @property
    def is_down(self) -> bool:
        """Whether it says that the target does not work."""
        return self.outcome is Outcome.FAILED and not self.is_prober


@dataclass(frozen=True, slots=True)
class Result:
    """A reading with its probe. `started` is in seconds since the epoch."""

    probe: str
    kind: str
    reading: Reading
    started: float


@dataclass(frozen=True)
class ProbeContext:
    """What a probe may use for one run.

    Attributes:
        deadline: when it must have answered.
        guard: the allow-list; asked before anything is sent, once for each address.
        journeys: by name, for the kinds that run one.
        dsns: how to reach the databases of the declaration, by name.
        cancelled: set when the run should end early; cleanup still happens.
        sequence: which run of this probe it is since the process began, from 0.
    """

    deadline: Deadline
    guard: Guard
    shop: Shop
    clock: Clock
    journeys: Mapping[str, Journey] = field(default_factory=dict)
    dsns: Mapping[str, Secret] = field(default_factory=dict)
    cancelled: threading.Event = field(default_factory=threading.Event)
    sequence: int = 0


class Probe(Protocol):
    """One way to look at a target.

    A kind is a frozen dataclass whose fields are its configuration. It is built once and its
    `check` is called many times, also from several threads at once, so it keeps no state.

    Attributes:
        facts: the numbers that it exports beside the outcome, declared once.
    """

    facts: ClassVar[Facts]

    def check(self, context: ProbeContext) -> Reading:
        """Look once and answer before `context.deadline`.

        A target that is down, slow, wrong or not allowed is a Reading, never an exception: an
        exception counts as a bug of ours (`failed`, reason `prober`). Nothing is sent before
        `context.guard` admitted the address, and nothing is left open or running afterwards.
        """
        ...


def check_name(name: str) -> str:
    """`name` itself, if it can be a probe's name; it becomes a label.

    Raises:
        ValueError: it is empty, too long, or has other characters.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"name {name!r} must be a letter or _, then up to 62 letters, digits, _ or -"
        )
    return name


@dataclass(frozen=True)
class Retry:
    """Further attempts after a failure, to confirm it; never for what places orders.

    The failure counts in every objective all the same. `sre_probe_up` becomes 0 only when all
    further attempts fail too.

    Attributes:
        times: how many.
        wait: seconds before each.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    times: int = 1
    wait: Duration = _WAIT

    def __post_init__(self) -> None:
        if not 1 <= self.times <= 10:
            raise ValueError("times must be 1 to 10")
        if self.wait < 0:
            raise ValueError("wait must be at least 0")

    def seconds(self, timeout: float) -> float:
        """The longest that a run and all further attempts take."""
        return (self.times + 1) * timeout + self.times * float(self.wait)


@dataclass(frozen=True)
class CheckFields:
    """What every entry of `probes:` may say beside the fields of its kind.

    Attributes:
        every: seconds between the starts of two runs, at least 1.
        timeout: seconds that one run may take; a journey brings its own.
        slow: seconds; a good run that took longer is degraded.
        retry: further attempts that confirm a failure; all must fit into `every`.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    name: str
    every: Duration = _EVERY
    timeout: Duration = _TIMEOUT
    slow: Duration | None = None
    retry: Retry | None = None

    def __post_init__(self) -> None:
        check_name(self.name)
        if self.every < 1:
            raise ValueError("every must be at least 1s")
        if self.timeout <= 0:
            raise ValueError("timeout must be longer than 0")
        if self.slow is not None and self.slow <= 0:
            raise ValueError("slow must be longer than 0")
        if self.retry is not None and self.retry.seconds(self.timeout) > self.every:
            raise ValueError(
                "retry does not fit: (times + 1) x timeout + times x wait must be at most every"
            )


@dataclass(frozen=True)
class Check:
    """A probe with its name and its schedule.

    Attributes:
        timeout: seconds for the whole run, cleanup steps of a journey included.
        budget: runs per second that its side effects allow; None is no limit.
        journey: the name of the journey that it runs.
        retry: how a failure is confirmed; None is not at all.
    """

    name: str
    kind: str
    probe: Probe
    every: float = 60.0
    timeout: float = 5.0
    slow: float | None = None
    budget: float | None = None
    journey: str | None = None
    retry: Retry | None = None

    @property
    def orders(self) -> bool:
        """Whether a run changes something at the shop."""
        return self.budget is not None


def check_from(fields: CheckFields, kind: str, probe: Any) -> Check:
    """An entry of `probes:`: its common fields and its kind's own object, put together."""
    return Check(
        name=fields.name,
        kind=kind,
        probe=probe,
        every=float(fields.every),
        timeout=float(fields.timeout),
        slow=None if fields.slow is None else float(fields.slow),
        journey=probe.journey if kind == "journey" else None,
        retry=fields.retry,
    )
