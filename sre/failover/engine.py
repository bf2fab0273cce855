"""What must a kind of `clusters:` do, so that it is watched, planned, switched and resumed alike?

Observe, decide, act. A decision is plain data: it is written down before the first step, and a run
that was killed makes the same steps from it again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from sre.core.clock import Clock, Deadline, SystemClock
from sre.core.facts import Facts
from sre.core.secrets import Secret
from sre.failover.nodes import Control, Service
from sre.failover.snapshot import Snapshot
from sre.failover.switches import Traffic

__all__ = [
    "Action",
    "Cluster",
    "Decision",
    "Engine",
    "Ground",
    "Loss",
    "Maintained",
    "Memory",
    "Placed",
    "Reason",
    "Reasons",
    "Step",
    "Wish",
]

Action = Literal["switchover", "failover", "fence", "rejoin", "rebuild"]
"""`rebuild`: on empty nodes, from another region's backups; engines of kinds do not know it."""

Memory = Mapping[str, Mapping[str, Any]]
"""Step id -> what it noted; JSON."""


@dataclass(frozen=True)
class Placed:
    """A node as engines see it.

    Attributes:
        server: what switches of traffic call it.
        dsn: how it is asked; None where the kind asks in another way.
        fence: a program that cuts it off for certain (power, network) when it cannot be reached.
        own: what else the kind's node declares.
    """

    name: str
    server: str
    service: Service
    control: Control
    dsn: Secret | None = None
    fence: tuple[str, ...] = ()
    own: Any = None


@dataclass(frozen=True)
class Ground:
    """What an engine works on.

    Attributes:
        switches: name -> the switch of traffic, in the order in which they stand before it.
        lost_writes: how many acknowledged writes may be lost without being asked about.
        rto: seconds that a failover may take.
        facts: where an engine keeps what it must know once the primary cannot be asked.
    """

    cluster: str
    nodes: tuple[Placed, ...]
    switches: Mapping[str, Traffic] = field(default_factory=dict)
    clock: Clock = field(default_factory=SystemClock)
    rto: float = 60.0
    lost_writes: int = 0
    facts: Facts | None = None

    def node(self, name: str) -> Placed:
        """A node by name. Raises KeyError."""
        return next(each for each in self.nodes if each.name == name)


@dataclass(frozen=True)
class Wish:
    """What somebody wants.

    Attributes:
        to: the node that shall become primary; None: the best one.
        node: whom to fence or to rejoin.
        accept_data_loss: why acknowledged writes may be lost; empty: they may not.
        recent: when and why the last failover was, when nobody has acknowledged it.
        limit: seconds after which a step gives up; None: the engine's own limits.
    """

    action: Action
    to: str | None = None
    node: str | None = None
    accept_data_loss: str = ""
    recent: str = ""
    limit: float | None = None


@dataclass(frozen=True)
class Reason:
    """One reason of a decision.

    Attributes:
        check: a bounded word such as `lag`, `quorum`, `replay-paused`, `no-standby`.
        text: what was found, where, and what to do.
        evidence: the numbers behind it; JSON.
    """

    check: str
    text: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


Reasons = tuple[Reason, ...]


@dataclass(frozen=True)
class Loss:
    """How much may be lost at most; None: nobody can tell."""

    bytes: int | None = None
    seconds: float | None = None
    writes: int | None = None


@dataclass(frozen=True)
class Decision:
    """Whether and how; JSON throughout, so that it can be written down.

    Attributes:
        old: the primary that was.
        new: the primary to be (the node itself for fence and rejoin).
        blockers: why not; empty: go.
        passed: the checks that were made and are fine.
        warnings: what people should know.
        loss: the bound of what may be lost, when it is not nothing.
        facts: what the steps need to know; JSON.
    """

    action: Action
    cluster: str
    old: str = ""
    new: str = ""
    blockers: tuple[Reason, ...] = ()
    passed: tuple[Reason, ...] = ()
    warnings: tuple[Reason, ...] = ()
    loss: Loss | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def allowed(self) -> bool:
        """Whether nothing blocks it."""
        return not self.blockers


@dataclass(frozen=True)
class Step:
    """One step of an operation. Its begin is on disk before `act` is called, its end after.

    Attributes:
        id: unique in the operation, stable over versions.
        says: what it does, for people: `stop PostgreSQL on a`.
        act: does it and returns what is worth noting (JSON, no secret). Brings about a state and
            finds it there: it is called again when a run was killed in it, or failed in it.
            Raises SreError; Transient: nobody knows whether it happened.
        undo: takes it back; called in reverse order when a later step fails before the point of
            no return. None: nothing to take back.
        no_return: from its begin on the only way is forward.
        phase: under which name its seconds are reported.
        vital: False: when it fails, the operation goes on and ends as `incomplete`.
        seconds: the limit of `act`.
        mends: words of `settled`'s reasons that call for this step once more, after the last one:
            the world may have changed behind a step that had ended.
    """

    id: str
    says: str
    act: Callable[[Memory, Deadline], Mapping[str, Any]]
    undo: Callable[[Memory, Deadline], None] | None = None
    no_return: bool = False
    phase: str = ""
    vital: bool = True
    seconds: float = 60.0
    mends: tuple[str, ...] = ()


class Engine(Protocol):
    """A cluster at work: made from its declaration by `Cluster.engine`. Keeps connections only."""

    def observe(self, deadline: Deadline) -> Snapshot:
        """Ask everybody at once. A node that does not answer is part of the picture, no error."""
        ...

    def decide(self, wish: Wish, seen: Snapshot) -> Decision:
        """Whether and how, from the snapshot alone (pure: no clock, no network)."""
        ...

    def steps(self, decision: Decision) -> tuple[Step, ...]:
        """What to do, in order; the same for the same decision, in any process."""
        ...

    def obstacles(self, decision: Decision, seen: Snapshot, begun: Sequence[str]) -> Reasons:
        """Why a run that was killed must not go on, now that the world looks like this. (pure)

        `begun` are the ids of the steps that had begun. Empty: go on.
        """
        ...

    def settled(self, decision: Decision, seen: Snapshot) -> Reasons:
        """What is still not as the decision wanted it: asked after the last step, of a new
        snapshot. Empty: the operation did what it says. (pure)"""
        ...

    def close(self) -> None:
        """Give connections back."""
        ...


@runtime_checkable
class Maintained(Protocol):
    """An engine above something that fails over by itself, and can be told to leave it."""

    def maintain(self, on: bool, deadline: Deadline) -> None:  # noqa: FBT001  a state, not a mode
        """It keeps its hands off, or no longer; returns once everybody who answers has heard it.

        Raises CheckFailed (it refused) and Transient (not everybody has heard it in time).
        """
        ...

    def maintained(self, deadline: Deadline) -> Mapping[str, bool | None]:
        """What each node says of it; None: it does not answer."""
        ...


class Cluster(Protocol):
    """A kind of `clusters:`; its fields are its configuration beside the common ones.

    The class attribute `NODE` is the dataclass of further keys of each entry of `nodes:`.
    """

    NODE: ClassVar[type[Any]]

    def service(self, own: Any) -> Service:
        """What runs on a node of which `own` are the declared keys."""
        ...

    def engine(self, ground: Ground) -> Engine:
        """The cluster at work. Contacts nothing yet."""
        ...
