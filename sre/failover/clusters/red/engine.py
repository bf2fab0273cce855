"""How is a set of Redis servers watched, judged and switched, all together?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from sre.core.clock import Deadline
from sre.core.errors import UsageError
from sre.failover.clusters.common.traffic import Switches
from sre.failover.clusters.red.asking import Line, dsn_place
from sre.failover.clusters.red.decide_failover import decide_failover
from sre.failover.clusters.red.decide_mend import decide_fence, decide_rejoin
from sre.failover.clusters.red.decide_switchover import decide_switchover
from sre.failover.clusters.red.hands import Hands
from sre.failover.clusters.red.judge_end import obstacles, settled
from sre.failover.clusters.red.look import Looker
from sre.failover.clusters.red.own import host_and_port
from sre.failover.clusters.red.sheet import Rules
from sre.failover.clusters.red.steps_failover import failover_steps, fence_steps
from sre.failover.clusters.red.steps_rejoin import rejoin_steps
from sre.failover.clusters.red.steps_switchover import switchover_steps
from sre.failover.engine import Decision, Ground, Reasons, Step, Wish
from sre.failover.snapshot import Snapshot
from sre.sql.ledger.redis import Place

if TYPE_CHECKING:
    from sre.failover.clusters.sentinel import SentinelCluster

__all__ = ["RedisEngine"]

_DECIDE = {
    "switchover": decide_switchover,
    "failover": decide_failover,
    "fence": decide_fence,
    "rejoin": decide_rejoin,
}
_STEPS = {
    "switchover": switchover_steps,
    "failover": failover_steps,
    "fence": fence_steps,
    "rejoin": rejoin_steps,
}


class RedisEngine:
    """`Engine` for Redis, with sentinels or without."""

    def __init__(self, ground: Ground, rules: Rules, sentinel: SentinelCluster | None) -> None:
        """Contacts nothing. Raises UsageError when a node has no dsn."""
        self._rules = rules
        self._lines: dict[str, Line] = {}
        for node in ground.nodes:
            if node.dsn is None:
                raise UsageError(f"node {node.name} of {ground.cluster} needs a dsn: redis://…")
            self._lines[node.name] = Line(node.name, partial(dsn_place, node.name, node.dsn))
        self._watches = _watches(sentinel)
        master = sentinel.master if sentinel is not None else ""
        self._looker = Looker(ground, self._lines, self._watches, master)
        self._hands = Hands(ground, self._lines, self._watches, self._looker, master)
        self._switches = Switches(ground)

    def observe(self, deadline: Deadline) -> Snapshot:
        """Ask everybody at once."""
        return self._looker.look(deadline)

    def decide(self, wish: Wish, seen: Snapshot) -> Decision:
        """Whether and how."""
        return _DECIDE[wish.action](wish, seen, self._rules)

    def steps(self, decision: Decision) -> tuple[Step, ...]:
        """What to do, in order."""
        return _STEPS[decision.action](self._hands, self._switches, decision)

    def obstacles(self, decision: Decision, seen: Snapshot, begun: Sequence[str]) -> Reasons:
        """Why a killed run must not go on."""
        return obstacles(decision, seen, begun)

    def settled(self, decision: Decision, seen: Snapshot) -> Reasons:
        """What is not as it was wanted."""
        return settled(decision, seen)

    def close(self) -> None:
        """Give connections back."""
        for line in (*self._lines.values(), *self._watches.values()):
            line.close()


def _watches(sentinel: SentinelCluster | None) -> dict[str, Line]:
    if sentinel is None:
        return {}
    return {
        each: Line(f"sentinel {each}", partial(_sentinel_place, sentinel, each))
        for each in sentinel.sentinels
    }


def _sentinel_place(sentinel: SentinelCluster, where: str) -> Place:
    host, port = host_and_port(where, "each of sentinels")
    options: dict[str, Any] = {"username": sentinel.username or None}
    options["password"] = sentinel.password.reveal() if sentinel.password is not None else None
    if sentinel.tls:
        options["ssl_check_hostname"] = True
    if sentinel.ca_file:
        options["ssl_ca_certs"] = sentinel.ca_file
    return Place(host, port, options, tls=sentinel.tls)
