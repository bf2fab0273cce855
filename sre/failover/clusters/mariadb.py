"""What does `kind: mariadb` of `clusters:` say: GTID replication, nothing above it?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from sre.core.secrets import Secret
from sre.core.units import Duration
from sre.failover.clusters.common.node import DataNode
from sre.failover.engine import Engine, Ground
from sre.failover.nodes import Service

if TYPE_CHECKING:
    from sre.failover.clusters.maria.sheet import Rules

__all__ = ["MariaDbCluster", "MariaDbNode"]


@dataclass(frozen=True)
class MariaDbNode(DataNode):
    """What an entry of `nodes:` says of MariaDB.

    Attributes:
        data_dir: where its data lies on the node.
        bin_dir: where its programs lie there; found on the PATH without.
        address: host:port where the other nodes reach it; as in `dsn` without.
        priority: among replicas that are equal, the one with the higher number is taken.
        log: where what it says goes when it is started directly; `data_dir`.log without.
        options: further arguments of `mariadbd` when it is started directly.
    """


@dataclass(frozen=True)
class MariaDbCluster:
    """A primary and its replicas, by GTID.

    Attributes:
        replication: how replicas log in to a primary (`USER:PASSWORD`); as each of them does now
            without, by the `master.info` in its data.
        semi_sync: whether commits wait for a replica, whoever is primary; as the primary is set
            without.
        max_lag: how far a replica may be behind when it is to become primary on purpose.
    """

    NODE: ClassVar[type[Any]] = MariaDbNode
    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid"}
    replication: Secret | None = None
    semi_sync: bool | None = None
    max_lag: Duration = Duration(10)

    def service(self, own: Any) -> Service:
        """MariaDB at the node's folder."""
        return Service("mariadb", own.data_dir, own.bin_dir, 0, own.log, own.options)

    def rules(self, ground: Ground) -> Rules:
        """What decisions need of the declaration."""
        from sre.failover.clusters.maria.sheet import Rules as Made  # noqa: PLC0415  beside pymysql

        return Made(
            nodes=tuple(each.name for each in ground.nodes),
            semi_sync=self.semi_sync,
            max_lag=float(self.max_lag),
            priority={each.name: each.own.priority for each in ground.nodes},
            fences=frozenset(each.name for each in ground.nodes if each.fence),
        )

    def engine(self, ground: Ground) -> Engine:
        """The set at work. Raises UsageError when a node has no dsn."""
        from sre.failover.clusters.maria.engine import MariaDbEngine  # noqa: PLC0415  pymysql

        return MariaDbEngine(ground, self.rules(ground), self.replication)
