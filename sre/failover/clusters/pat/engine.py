"""How is a cluster that Patroni leads watched, judged and switched, all together?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sre.core.clock import Deadline
from sre.failover.clusters.pat.api import Api, Login
from sre.failover.clusters.pat.decide import decide_switchover
from sre.failover.clusters.pat.decide_mend import decide_fence, decide_rejoin
from sre.failover.clusters.pat.decide_need import decide_failover
from sre.failover.clusters.pat.hands import Hands
from sre.failover.clusters.pat.judge_end import obstacles, settled
from sre.failover.clusters.pat.look import Looker
from sre.failover.clusters.pat.maintenance import maintained, set_maintenance
from sre.failover.clusters.pat.steps import change_steps
from sre.failover.clusters.pat.steps_mend import fence_steps, rejoin_steps
from sre.failover.engine import Decision, Ground, Reasons, Step, Wish
from sre.failover.snapshot import Snapshot

if TYPE_CHECKING:
    from sre.failover.clusters.patroni import PatroniCluster
    from sre.failover.clusters.pg.asking import Line

__all__ = ["PatroniEngine"]

_DECIDE = {
    "switchover": decide_switchover,
    "failover": decide_failover,
    "fence": decide_fence,
    "rejoin": decide_rejoin,
}
_STEPS = {
    "switchover": change_steps,
    "failover": change_steps,
    "fence": fence_steps,
    "rejoin": rejoin_steps,
}


class PatroniEngine:
    """`Engine` and `Maintained` through Patroni's REST API."""

    def __init__(self, ground: Ground, declared: PatroniCluster) -> None:
        """Contacts nothing."""
        self._rules = declared.rules(ground)
        members = self._rules.members
        login = _login(declared)
        self._apis = {node.name: Api(node.name, node.own.api, login) for node in ground.nodes}
        self._lines = _lines(ground)
        self._looker = Looker(ground, self._apis, self._lines, members, declared.scope)
        self._hands = Hands(ground, self._apis, self._lines, self._looker, members)

    def observe(self, deadline: Deadline) -> Snapshot:
        """Ask everybody at once."""
        return self._looker.look(deadline)

    def decide(self, wish: Wish, seen: Snapshot) -> Decision:
        """Whether and how."""
        return _DECIDE[wish.action](wish, seen, self._rules)

    def steps(self, decision: Decision) -> tuple[Step, ...]:
        """What to do, in order."""
        return _STEPS[decision.action](self._hands, decision)

    def obstacles(self, decision: Decision, seen: Snapshot, begun: Sequence[str]) -> Reasons:
        """Why a killed run must not go on."""
        return obstacles(decision, seen, begun)

    def settled(self, decision: Decision, seen: Snapshot) -> Reasons:
        """What is not as it was wanted."""
        return settled(decision, seen)

    def maintain(self, on: bool, deadline: Deadline) -> None:  # noqa: FBT001  a state, not a mode
        """Patroni's pause, seen on every member that answers."""
        set_maintenance(self._hands, on, deadline)

    def maintained(self, deadline: Deadline) -> Mapping[str, bool | None]:
        """What each member says of it; None: it does not answer."""
        return maintained(self._hands, deadline)

    def close(self) -> None:
        """Give connections back."""
        for line in self._lines.values():
            line.close()


def _login(declared: PatroniCluster) -> Login:
    verify: bool | str = declared.ca or declared.verify
    cert = (declared.cert, declared.key) if declared.key else declared.cert or None
    return Login(declared.user, declared.password, verify, cert)


def _lines(ground: Ground) -> dict[str, Line]:
    """PostgreSQL's own connections, of the nodes that say how."""
    told = {node.name: node.dsn for node in ground.nodes if node.dsn is not None}
    if not told:
        return {}
    from sre.failover.clusters.pg.asking import Line as Made  # noqa: PLC0415  psycopg is slow

    return {name: Made(name, dsn) for name, dsn in told.items()}
