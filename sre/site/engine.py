"""How is a cluster that is lost looked at, judged and built anew, in the frame of operations?"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from sre.core.clock import Deadline
from sre.core.errors import UsageError
from sre.core.secrets import Secret
from sre.failover.clusters.common.traffic import Switches
from sre.failover.clusters.pg.asking import Line
from sre.failover.clusters.pg.hands import Hands
from sre.failover.clusters.pg.judge_end import settled
from sre.failover.clusters.pg.look import Looker
from sre.failover.clusters.postgres import PostgresCluster
from sre.failover.engine import Decision, Ground, Reason, Reasons, Step, Wish
from sre.failover.model import Declared
from sre.failover.nodes import Service
from sre.failover.snapshot import Snapshot
from sre.site.decide import decide_rebuild
from sre.site.looking import look_at_all
from sre.site.source import Source
from sre.site.steps import rebuild_steps

__all__ = ["RebuildEngine", "rebuilding"]

_LOOK_SECONDS = 15.0


def rebuilding(declared: Declared, source: Source, *, fresh: bool) -> Declared:
    """The same cluster, with an engine that builds it anew. Its operations share the journal.

    `fresh`: nothing has begun, so nodes and store are looked at before anything is decided.

    Raises:
        UsageError: a kind of cluster that cannot be built so.
    """
    if not isinstance(declared.cluster, PostgresCluster):
        raise UsageError(
            f"{declared.name} is of kind {declared.kind}; only kind postgres is rebuilt from a "
            "backup by this command"
        )
    made = _Rebuilt(declared.cluster, source, declared.fields.front, fresh)
    return replace(declared, cluster=made)


@dataclass(frozen=True)
class _Rebuilt:
    """`Cluster` for the time of a rebuilding."""

    NODE: ClassVar[type[Any]] = PostgresCluster.NODE
    cluster: PostgresCluster
    source: Source
    front: Secret | None
    fresh: bool

    def service(self, own: Any) -> Service:
        """As it is declared."""
        return self.cluster.service(own)

    def engine(self, ground: Ground) -> RebuildEngine:
        """At work."""
        return RebuildEngine(ground, self)


class RebuildEngine:
    """`Engine` with the one action `rebuild`."""

    def __init__(self, ground: Ground, about: _Rebuilt) -> None:
        """Contacts nothing. Raises UsageError when a node has no dsn."""
        self._about, self._ground = about, ground
        self._lines: dict[str, Line] = {}
        for node in ground.nodes:
            if node.dsn is None:
                raise UsageError(f"node {node.name} of {ground.cluster} needs a dsn")
            self._lines[node.name] = Line(node.name, node.dsn)
        self._rules = about.cluster.rules(ground)
        self._looker = Looker(ground, self._lines)
        self._hands = Hands(ground, self._lines, self._looker, about.cluster.replication)
        self._switches = Switches(ground)
        self._fresh = about.fresh

    def observe(self, deadline: Deadline) -> Snapshot:
        """Everybody; the first time also folders, programs and the store."""
        seen = self._looker.look(deadline)
        if not self._fresh:
            return seen
        self._fresh = False
        until = Deadline.after(_LOOK_SECONDS, self._ground.clock)
        site = {
            "nodes": look_at_all(self._ground.nodes, until),
            "source": self._about.source.look(),
            "token": secrets.token_hex(6),
        }
        return replace(seen, more={**seen.more, "site": site})

    def decide(self, wish: Wish, seen: Snapshot) -> Decision:
        """Whether and how."""
        login = self._about.cluster.replication is not None
        return decide_rebuild(wish, seen, self._rules, replication=login)

    def steps(self, decision: Decision) -> tuple[Step, ...]:
        """What to do, in order."""
        about = self._about
        return rebuild_steps(
            self._hands, self._switches, decision, about.source, about.cluster.replication,
            about.front,
        )  # fmt: skip

    def obstacles(self, decision: Decision, seen: Snapshot, begun: Sequence[str]) -> Reasons:
        """Somebody else became primary meanwhile, or it answers before we started it."""
        strangers = [each.name for each in seen.primaries() if each.name != decision.new]
        if not strangers and seen.node(decision.new).reachable and "start" not in begun:
            strangers = [decision.new]
        if not strangers:
            return ()
        text = (
            f"{', '.join(strangers)} is primary, and not by this operation; look, then "
            f"sre failover resume {decision.cluster} --abandon REASON"
        )
        return (Reason("another-primary", text),)

    def settled(self, decision: Decision, seen: Snapshot) -> Reasons:
        """One primary, everybody else follows it, all work goes there."""
        return settled(decision, seen)

    def close(self) -> None:
        """Give connections back."""
        for line in self._lines.values():
            line.close()
