"""How do the checks of a decision come together, and which are common to all actions? (pure)"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sre.failover.clusters.common.sheet import CommonSheet
from sre.failover.engine import Ground, Wish
from sre.failover.snapshot import NodeSeen, Snapshot

__all__ = ["Rules", "Sheet", "rules_of", "watching"]


@dataclass(frozen=True)
class Rules:
    """What the declaration says, as far as decisions need it.

    Attributes:
        wait: replicas that clients wait for; 0: they do not.
        max_lag: bytes that a replica may be behind before a switchover.
        pause: seconds for which writes may be held up while a replica catches up.
        priority: node -> preference among equals; higher is better.
        fences: nodes for which a fencing program is declared.
        sentinels: where they are; empty: none take care of this set.
    """

    nodes: tuple[str, ...]
    wait: int = 0
    max_lag: int = 16 * 2**20
    pause: float = 3.0
    priority: Mapping[str, int] = field(default_factory=dict)
    fences: frozenset[str] = frozenset()
    sentinels: tuple[str, ...] = ()


def rules_of(
    ground: Ground, wait: int, max_lag: int, pause: float, sentinels: tuple[str, ...] = ()
) -> Rules:
    """From a declared cluster."""
    return Rules(
        nodes=tuple(each.name for each in ground.nodes),
        wait=wait, max_lag=max_lag, pause=pause,
        priority={each.name: each.own.priority for each in ground.nodes},
        fences=frozenset(each.name for each in ground.nodes if each.fence),
        sentinels=sentinels,
    )  # fmt: skip


class Sheet(CommonSheet):
    """Collects blockers, what passed, and warnings."""

    def __init__(self, wish: Wish, seen: Snapshot, rules: Rules) -> None:
        super().__init__(wish, seen, rules.nodes, rules.fences)
        self.rules = rules

    def traffic(self, *, files: bool) -> None:
        """Every switch answers; `files`: a reload would bring the state that it has."""
        bad = [
            f"{name}: {problem}"
            for name, problems in self.seen.more["switches"].items()
            for problem in problems
            if files or problem.startswith("unreachable: ")
        ]
        words = "; ".join(bad)
        self.judge("traffic", words and f"{words}; mend it", "every switch answers")

    def no_cluster(self) -> None:
        """Redis Cluster has a way of its own."""
        found = [n.name for n in self.seen.nodes if n.reachable and n.more["cluster"]]
        bad = f"{', '.join(found)} are nodes of a Redis Cluster: use CLUSTER FAILOVER there"
        self.judge("redis-cluster", bad if found else "")

    def durable(self, new: NodeSeen) -> None:
        """What a primary to be does not keep."""
        settings = new.more["settings"]
        if not settings:
            self.warn("settings", f"{new.name} does not tell its settings (CONFIG GET): what they "
                      "would forbid is not known")  # fmt: skip
        elif not settings.get("save") and settings.get("appendonly") == "no":
            self.warn("no-persistence", f"{new.name} writes nothing to disk: if it starts again by "
                      "itself, it is empty, and empties its replicas")  # fmt: skip
        if not new.more["config"]:
            self.warn("no-config", f"{new.name} has no configuration file: when it starts again, "
                      "it is what its arguments say")  # fmt: skip

    def followers(self, new: NodeSeen, count: int) -> None:
        """Whether a primary to be would take writes with so many replicas."""
        text = str(new.more["settings"].get("min-replicas-to-write", "0"))
        least = int(text) if text.isdecimal() else 0
        if least > count:
            bad = (f"{new.name} wants {least} replicas for a write, and would have {count}; bring "
                   f"them back, or CONFIG SET min-replicas-to-write {count} there")  # fmt: skip
            self.judge("min-replicas", bad)
        elif least:
            self.warn("min-replicas", f"{new.name} takes writes once {least} of its replicas are "
                      "connected again: a second or two more")  # fmt: skip

    def watched(self) -> None:
        """Whether the sentinels can be asked and have nothing under way."""
        if not self.rules.sentinels:
            return
        known = watching(self.seen)
        bad = "" if known else "no sentinel answers; start one, or mend sentinels: and password:"
        for name, each in known.items():
            if {"failover_in_progress", "force_failover"} & set(each["flags"]):
                bad = f"{name} is failing over already; look again in some seconds"
        self.judge("sentinel", bad, f"{len(known)} sentinels answer, none is failing over")
        self._strangers(known)

    def _strangers(self, known: Mapping[str, Mapping[str, Any]]) -> None:
        """Replicas that sentinels might choose and that we cannot steer."""
        found = sorted({
            f"{row['host']}:{row['port']}"
            for each in known.values() for row in each["replicas"]
            if not row["node"] and row["priority"] and "s_down" not in row["flags"]
        })  # fmt: skip
        bad = (
            f"the sentinels know replicas that are not declared ({', '.join(found)}), and may "
            "choose one; add them to nodes:, or set replica-priority 0 there"
        )
        self.judge("undeclared", bad if found else "")


def watching(seen: Snapshot) -> dict[str, Mapping[str, Any]]:
    """The sentinels that answer."""
    return {name: each for name, each in seen.more["sentinels"].items() if each["answers"]}
