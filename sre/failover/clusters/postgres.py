"""What does `kind: postgres` of `clusters:` say: plain streaming replication, nothing above it?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from sre.core.secrets import Secret
from sre.core.units import Size
from sre.failover.clusters.common.node import DataNode
from sre.failover.engine import Engine, Ground
from sre.failover.nodes import Service

if TYPE_CHECKING:
    from sre.failover.clusters.pg.sheet import Rules

__all__ = ["PostgresCluster", "PostgresNode"]

_RULE = re.compile(r"(ANY|FIRST) [1-9][0-9]*", re.IGNORECASE)


@dataclass(frozen=True)
class PostgresNode(DataNode):
    """What an entry of `nodes:` says of PostgreSQL.

    Attributes:
        data_dir: where its data lies on the node.
        bin_dir: where its programs lie there; found on the PATH without.
        address: host:port where the other nodes reach it; as in `dsn` without.
        priority: among standbys that are equal, the one with the higher number is taken.
        log: where what it says goes when it is started directly; `data_dir`.log without.
        options: further arguments of `postgres` when it is started directly.
    """


@dataclass(frozen=True)
class PostgresCluster:
    """A primary and its streaming standbys.

    Attributes:
        replication: how standbys log in to a primary (`user=… password=…`); as each of them does
            now without.
        synchronous: `ANY 1`: commits wait for one of the other nodes, whoever is primary; as the
            servers are configured without.
        max_lag: how far a standby may be behind when it is to become primary on purpose.
    """

    NODE: ClassVar[type[Any]] = PostgresNode
    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid"}
    replication: Secret | None = None
    synchronous: str = ""
    max_lag: Size = Size(16 * 2**20)

    def __post_init__(self) -> None:
        if self.synchronous and not _RULE.fullmatch(self.synchronous):
            raise ValueError(
                "synchronous must be such as `ANY 1` or `FIRST 2`; names are not given"
            )

    def service(self, own: Any) -> Service:
        """PostgreSQL at the node's folder."""
        return Service("postgres", own.data_dir, own.bin_dir, 0, own.log, own.options)

    def rules(self, ground: Ground) -> Rules:
        """What decisions need of the declaration."""
        from sre.failover.clusters.pg.sheet import Rules as Made  # noqa: PLC0415  beside psycopg

        return Made(
            nodes=tuple(each.name for each in ground.nodes),
            synchronous=self.synchronous,
            max_lag=int(self.max_lag),
            priority={each.name: each.own.priority for each in ground.nodes},
            fences=frozenset(each.name for each in ground.nodes if each.fence),
        )

    def engine(self, ground: Ground) -> Engine:
        """The set at work. Raises UsageError when a node has no dsn."""
        from sre.failover.clusters.pg.engine import PostgresEngine  # noqa: PLC0415  psycopg is slow

        return PostgresEngine(ground, self.rules(ground), self.replication)
