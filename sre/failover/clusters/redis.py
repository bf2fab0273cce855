"""What does `kind: redis` of `clusters:` say: a primary and replicas, no sentinel?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from sre.core.units import Duration, Size
from sre.failover.clusters.red.own import RedisNode, service_of
from sre.failover.engine import Engine, Ground
from sre.failover.nodes import Service

if TYPE_CHECKING:
    from sre.failover.clusters.red.sheet import Rules

__all__ = ["RedisCluster"]

_LEAST, _MOST = 0.1, 60.0


@dataclass(frozen=True)
class RedisCluster:
    """A primary and its replicas; we alone change who is who.

    Attributes:
        wait: how many replicas clients wait for (WAIT) before a write counts; 0: they do not.
        max_lag: how far a replica may be behind when it is to become primary on purpose.
        pause: how long writes may be held up at most while a replica catches up.
    """

    NODE: ClassVar[type[Any]] = RedisNode
    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid"}
    wait: int = 0
    max_lag: Size = Size(16 * 2**20)
    pause: Duration = Duration(3)

    def __post_init__(self) -> None:
        check_common(self.wait, float(self.pause))

    def service(self, own: Any) -> Service:
        """A redis-server in the node's folder."""
        return service_of(own)

    def rules(self, ground: Ground) -> Rules:
        """What decisions need of the declaration."""
        from sre.failover.clusters.red.sheet import rules_of  # noqa: PLC0415  when it runs

        return rules_of(ground, self.wait, int(self.max_lag), float(self.pause))

    def engine(self, ground: Ground) -> Engine:
        """The set at work. Raises UsageError when a node has no dsn."""
        from sre.failover.clusters.red.engine import RedisEngine  # noqa: PLC0415  the driver

        return RedisEngine(ground, self.rules(ground), None)


def check_common(wait: int, pause: float) -> None:
    """Raises ValueError."""
    if wait < 0:
        raise ValueError("wait must be 0 or more replicas")
    if not _LEAST <= pause <= _MOST:
        raise ValueError("pause must be 100ms to 60s")
