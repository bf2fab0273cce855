"""What may `clusters:` and `traffic:` say, and what do they come to?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from sre.core.secrets import Secret
from sre.core.units import Duration
from sre.failover.degrade.model import Level
from sre.failover.engine import Cluster, Placed
from sre.failover.switches import Traffic

__all__ = ["ClusterFields", "Declared", "NodeFields", "Nothing", "Switch", "Switching"]

_STRICT: dict[str, object] = {"extra": "forbid"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


@dataclass(frozen=True)
class Nothing:
    """Kinds that share no fields."""

    __pydantic_config__: ClassVar = _STRICT


@dataclass(frozen=True)
class NodeFields:
    """What every entry of `nodes:` may say beside the fields of its kind and `control:`.

    Attributes:
        name: unique in the cluster; for PostgreSQL also its application_name.
        dsn: how it is asked, each node by itself and not through the traffic switch.
        server: what the switches of `traffic:` call it; its name without.
        fence: a program and its arguments that cut it off for certain (power, network) when its
            `control` does not reach it; it ends with 0 only when that is done.
    """

    __pydantic_config__: ClassVar = _STRICT
    name: str
    dsn: Secret | None = None
    server: str = ""
    fence: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is not a node's name; use letters, digits, _ . -")
        if self.fence and not self.fence[0].strip():
            raise ValueError("fence begins with the name of a program: [ipmitool, -H, …]")


@dataclass(frozen=True)
class ClusterFields:
    """What every entry of `clusters:` may say beside the fields of its kind and `nodes:`.

    Attributes:
        traffic: the switches before it, in the order in which clients meet them.
        front: how clients reach the primary, through the traffic switch; `sre ledger` writes there.
        rto: how long a failover may take.
        lost_writes: how many acknowledged writes a drill may lose.
        calm: so long after a failover another one needs `sre failover ack` first.
    """

    __pydantic_config__: ClassVar = _STRICT
    traffic: str | tuple[str, ...] = ()
    front: Secret | None = None
    rto: Duration = Duration(60)
    lost_writes: int = 0
    calm: Duration = Duration(3600)

    def __post_init__(self) -> None:
        if self.lost_writes < 0:
            raise ValueError("lost_writes must not be below 0")

    @property
    def switches(self) -> tuple[str, ...]:
        """The names in `traffic`, also when it is only one."""
        return (self.traffic,) if isinstance(self.traffic, str) else self.traffic


@dataclass(frozen=True)
class Switch:
    """One entry of `traffic:`."""

    name: str
    kind: str
    traffic: Traffic


@dataclass(frozen=True)
class Declared:
    """One entry of `clusters:`, everything that belongs to it beside it."""

    name: str
    kind: str
    cluster: Cluster
    nodes: tuple[Placed, ...]
    fields: ClusterFields = field(default_factory=ClusterFields)
    switches: Mapping[str, Traffic] = field(default_factory=dict)


@dataclass(frozen=True)
class Switching:
    """Everything of a declaration that failover knows."""

    clusters: Mapping[str, Declared] = field(default_factory=dict)
    traffic: Mapping[str, Switch] = field(default_factory=dict)
    degrade: Mapping[str, Level] = field(default_factory=dict)
