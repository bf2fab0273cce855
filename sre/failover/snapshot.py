"""What was seen of a cluster at one moment, and by whom? (immutable)"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["NodeSeen", "Role", "Snapshot", "View"]

Role = Literal["primary", "standby", "unknown"]


@dataclass(frozen=True)
class NodeSeen:
    """One node.

    Attributes:
        role: what it says it is; `unknown` when it did not answer.
        reachable: whether it answered.
        timeline: which history of the log it follows; 0 when unknown or without such a thing.
        position: the last byte of the log that is safe on it, as an integer of the engine (LSN,
            replication offset); comparable on one timeline alone. None: unknown.
        replayed: the last byte that queries see; None as above.
        lag_seconds: how old what queries see is; None when unknown.
        state: the engine's own word: `streaming`, `running`, `in archive recovery`, …
        synchronous: whether a commit waits for it.
        writable: whether it would take a write now.
        problems: bounded words with their evidence: why it may not be promoted, what is wrong.
        more: what else the kind knows; plain JSON.
    """

    name: str
    role: Role = "unknown"
    reachable: bool = False
    timeline: int = 0
    position: int | None = None
    replayed: int | None = None
    lag_seconds: float | None = None
    state: str = ""
    synchronous: bool = False
    writable: bool = False
    problems: tuple[str, ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class View:
    """What one witness says of a node: nobody is declared dead from one place alone.

    Attributes:
        by: a node's name, `traffic:NAME`, or `us`.
        of: the node that it speaks of.
        why: its evidence.
    """

    by: str
    of: str
    sees: Literal["alive", "dead", "unknown"]
    why: str = ""


@dataclass(frozen=True)
class Snapshot:
    """A cluster at one moment.

    Attributes:
        at: Unix seconds.
        nodes: in the order of the declaration.
        views: who sees whom.
        open: for each switch of traffic, the servers that take work.
        problems: of the cluster as a whole.
        more: what else the kind knows; plain JSON.
    """

    cluster: str
    at: float
    nodes: tuple[NodeSeen, ...]
    views: tuple[View, ...] = ()
    open: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)

    def node(self, name: str) -> NodeSeen:
        """A node by its name; one that was not seen is unknown."""
        return next((each for each in self.nodes if each.name == name), NodeSeen(name))

    def primaries(self) -> tuple[NodeSeen, ...]:
        """Those that say they are primary."""
        return tuple(each for each in self.nodes if each.role == "primary")

    def standbys(self) -> tuple[NodeSeen, ...]:
        """Those that say they follow."""
        return tuple(each for each in self.nodes if each.role == "standby")
