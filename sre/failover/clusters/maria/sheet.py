"""How do the checks of a decision come together, and which are common to all actions? (pure)"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sre.failover.clusters.common.sheet import CommonSheet, machine_of
from sre.failover.clusters.maria.reading import SEMI_SYNC
from sre.failover.engine import Decision, Loss, Wish
from sre.failover.snapshot import NodeSeen, Snapshot

__all__ = ["Rules", "Sheet", "semi_sync_after"]


@dataclass(frozen=True)
class Rules:
    """What the declaration says, as far as decisions need it.

    Attributes:
        semi_sync: whether commits must wait for a replica; None: as the servers are set.
        max_lag: seconds that a replica may be behind before a switchover.
        priority: node -> preference among equals; higher is better.
        fences: nodes for which a fencing program is declared.
    """

    nodes: tuple[str, ...]
    semi_sync: bool | None = None
    max_lag: float = 10.0
    priority: Mapping[str, int] = field(default_factory=dict)
    fences: frozenset[str] = frozenset()


class Sheet(CommonSheet):
    """Collects blockers, what passed, and warnings."""

    def __init__(self, wish: Wish, seen: Snapshot, rules: Rules) -> None:
        super().__init__(wish, seen, rules.nodes, rules.fences)
        self.rules = rules

    def decision(
        self, old: str, new: str, facts: Mapping[str, Any], loss: Loss | None = None
    ) -> Decision:
        """What it all comes to."""
        return Decision(
            self.wish.action, self.seen.cluster, old, new, tuple(self.blockers),
            tuple(self.passed), tuple(self.warnings), loss, facts,
        )  # fmt: skip

    def servers(self) -> None:
        """Nobody is asked twice, and nobody is in a Galera cluster, where other rules hold."""
        here = [each for each in self.seen.nodes if each.reachable]
        ids = Counter(str(each.more["server_id"]) for each in here)
        twice = [each.name for each in here if ids[str(each.more["server_id"])] > 1]
        bad = ""
        if twice:
            bad = f"{', '.join(twice)} have the same server_id; mend it, or their dsn"
        good = "all that answer have a server_id of their own" if len(here) > 1 else ""
        self.judge("server-id", bad, good)
        galera = [each.name for each in here if each.more.get("wsrep_on") == "ON"]
        bad = f"{', '.join(galera)}: Galera has primaries of its own making; take it out of here"
        self.judge("galera", bad if galera else "")

    def primary(self) -> NodeSeen | None:
        """The one primary; everything else is a blocker."""
        found, cluster = self.seen.primaries(), self.seen.cluster
        if len(found) > 1:
            names = " and ".join(each.name for each in found)
            self.judge("two-primaries", f"{names} both take writes and follow nobody; fence the "
                       f"wrong one first: sre failover fence {cluster} NODE")  # fmt: skip
            return None
        if not found:
            idle = [n.name for n in self.seen.nodes if n.reachable and not n.more["slave"]]
            hint = f" ({', '.join(idle)} follows nobody, but is read only)" if idle else ""
            self.judge("no-primary", f"no node takes writes now{hint}; look at `sre failover "
                       f"status`, and if it is gone: sre failover failover {cluster}")  # fmt: skip
            return None
        self.judge("primary", "", f"{found[0].name} is the only primary")
        return found[0]

    def controlled(self, name: str, what: str) -> bool:
        """Whether the node's control reaches it and has everything."""
        machine = machine_of(self.seen, name)
        bad = ""
        if machine["unreachable"]:
            bad = f"the control of {name} does not reach it: {machine['unreachable']}"
        elif machine["missing"]:
            bad = f"on {name}: {'; '.join(machine['missing'])}"
        return self.judge("control", f"{bad}; mend it to {what}" if bad else "",
                          f"{name} can be controlled")  # fmt: skip

    def rights(self, *nodes: NodeSeen) -> None:
        """Whether our accounts may do what has to be done."""
        lacking = {n.name: n.more["lacks"] for n in nodes if n.reachable and n.more["lacks"]}
        bad = "; ".join(f"on {name}: {', '.join(each)}" for name, each in lacking.items())
        self.judge("rights", f"the account of the dsn lacks rights {bad}; grant them"
                   if bad else "", "our accounts have the rights")  # fmt: skip

    def room(self, node: NodeSeen) -> None:
        """Whether the disk of a primary to be has room for log."""
        free = machine_of(self.seen, node.name)["free"]
        if free is None:
            self.warn("disk", f"nobody can tell how much room {node.name} has")
            return
        bad = f"only {free // 2**20} MiB are left on {node.name}; make room first"
        self.judge("disk", bad if free < 256 * 2**20 else "",
                   f"{node.name} has {free // 2**20} MiB left", free=free)  # fmt: skip

    def traffic(self) -> None:
        """Every switch answers, and a reload would bring the state that it has."""
        bad = [
            f"{name}: {problem}"
            for name, problems in self.seen.more["switches"].items()
            for problem in problems
        ]
        self.judge("traffic", "; ".join(bad), "switches answer, and files say what runs")

    def comes_back(self, *nodes: NodeSeen) -> None:
        """Servers that would take writes after a restart by themselves."""
        declared = ("COMPILE-TIME", "CONFIG", "COMMAND-LINE")
        names = [
            n.name
            for n in nodes
            if n.reachable and n.writable and n.more["read_only_from"] in declared
        ]
        if names:
            self.warn(
                "read-only",
                f"{', '.join(names)} would take writes after a restart, whoever is primary: set "
                "read_only = 1 in the configuration of every node",
            )


def semi_sync_after(
    rules: Rules, settings: Mapping[str, Any], wanted: Mapping[str, Any]
) -> dict[str, str]:
    """The semi-sync variables that the next primary shall have.

    `settings`: those of the primary as it is or was last seen; `wanted`: the last ones with which
    commits waited.
    """
    found = {name: str(settings[name]) for name in SEMI_SYNC if name in settings}
    if rules.semi_sync:
        found = {**found, **{name: str(wanted[name]) for name in SEMI_SYNC if name in wanted}}
    if rules.semi_sync is not None:
        found["rpl_semi_sync_master_enabled"] = "ON" if rules.semi_sync else "OFF"
    return found
