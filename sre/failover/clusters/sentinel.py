"""What does `kind: sentinel` of `clusters:` say: Redis servers of which sentinels take care?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from sre.core.secrets import Secret
from sre.core.units import Duration, Size
from sre.failover.clusters.red.own import RedisNode, host_and_port, service_of
from sre.failover.clusters.redis import check_common
from sre.failover.engine import Engine, Ground
from sre.failover.nodes import Service

if TYPE_CHECKING:
    from sre.failover.clusters.red.sheet import Rules

__all__ = ["SentinelCluster"]


@dataclass(frozen=True)
class SentinelCluster:
    """A primary, its replicas, and the sentinels that fail it over by themselves.

    Attributes:
        master: what the sentinels call it.
        sentinels: host:port of each.
        username: of the sentinels' own users, where they have any.
        password: of the sentinels, where they ask for one; not that of the nodes.
        tls: the sentinels speak TLS.
        ca_file: PEM file of the authority of their certificates, if it is not the system's.
        wait: how many replicas clients wait for (WAIT) before a write counts; 0: they do not.
        max_lag: how far a replica may be behind when it is to become primary on purpose.
        pause: how long writes may be held up at most while a replica catches up.
    """

    NODE: ClassVar[type[Any]] = RedisNode
    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid"}
    master: str
    sentinels: tuple[str, ...]
    username: str = ""
    password: Secret | None = None
    tls: bool = False
    ca_file: str = ""
    wait: int = 0
    max_lag: Size = Size(16 * 2**20)
    pause: Duration = Duration(3)

    def __post_init__(self) -> None:
        if not self.master or any(each.isspace() for each in self.master):
            raise ValueError("master is what the sentinels call it: sentinel monitor MASTER …")
        if not self.sentinels:
            raise ValueError("sentinels must name at least one: [10.0.0.1:26379, …]")
        known = [host_and_port(each, "each of sentinels") for each in self.sentinels]
        if len(set(known)) < len(known):
            raise ValueError("sentinels names one twice")
        if self.username and self.password is None:
            raise ValueError("username needs a password")
        if self.ca_file and not self.tls:
            raise ValueError("ca_file needs tls: true")
        check_common(self.wait, float(self.pause))

    def service(self, own: Any) -> Service:
        """A redis-server in the node's folder."""
        return service_of(own)

    def rules(self, ground: Ground) -> Rules:
        """What decisions need of the declaration."""
        from sre.failover.clusters.red.sheet import rules_of  # noqa: PLC0415  when it runs

        return rules_of(ground, self.wait, int(self.max_lag), float(self.pause), self.sentinels)

    def engine(self, ground: Ground) -> Engine:
        """The set at work. Raises UsageError when a node has no dsn."""
        from sre.failover.clusters.red.engine import RedisEngine  # noqa: PLC0415  the driver

        return RedisEngine(ground, self.rules(ground), self)
