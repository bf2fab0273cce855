"""How is a set of PostgreSQL servers watched, judged and switched, all together?"""

from __future__ import annotations

from collections.abc import Sequence

from sre.core.clock import Deadline
from sre.core.errors import UsageError
from sre.core.secrets import Secret
from sre.failover.clusters.common.traffic import Switches
from sre.failover.clusters.pg.asking import Line
from sre.failover.clusters.pg.decide_failover import decide_failover
from sre.failover.clusters.pg.decide_mend import decide_fence, decide_rejoin
from sre.failover.clusters.pg.decide_switchover import decide_switchover
from sre.failover.clusters.pg.hands import Hands
from sre.failover.clusters.pg.judge_end import obstacles, settled
from sre.failover.clusters.pg.look import Looker
from sre.failover.clusters.pg.sheet import Rules
from sre.failover.clusters.pg.steps_failover import failover_steps, fence_steps
from sre.failover.clusters.pg.steps_rejoin import rejoin_steps
from sre.failover.clusters.pg.steps_switchover import switchover_steps
from sre.failover.engine import Decision, Ground, Reasons, Step, Wish
from sre.failover.snapshot import Snapshot

__all__ = ["PostgresEngine"]

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


class PostgresEngine:
    """`Engine` for plain streaming replication."""

    def __init__(self, ground: Ground, rules: Rules, replication: Secret | None) -> None:
        """Contacts nothing. Raises UsageError when a node has no dsn."""
        self._rules, self._lines = rules, {}
        lines: dict[str, Line] = {}
        for node in ground.nodes:
            if node.dsn is None:
                raise UsageError(f"node {node.name} of {ground.cluster} needs a dsn")
            lines[node.name] = Line(node.name, node.dsn)
        self._lines = lines
        self._looker = Looker(ground, lines)
        self._hands = Hands(ground, lines, self._looker, replication)
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
        for line in self._lines.values():
            line.close()
