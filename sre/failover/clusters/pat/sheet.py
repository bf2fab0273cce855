"""How do the checks of a decision come together, and which are common to all actions? (pure)"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sre.failover.clusters.common.sheet import CommonSheet
from sre.failover.engine import Decision, Loss, Wish
from sre.failover.snapshot import NodeSeen, Snapshot

__all__ = ["Rules", "Sheet"]


@dataclass(frozen=True)
class Rules:
    """What the declaration says, as far as decisions need it.

    Attributes:
        members: node -> what Patroni calls it.
        scope: Patroni's name of the cluster; empty: any.
        timeout: seconds for Patroni to come to an end.
        stops: nodes whose Patroni can be ended through their control.
        starts: nodes whose Patroni can be started through their control.
        fences: nodes for which a fencing program is declared.
    """

    members: Mapping[str, str]
    scope: str = ""
    timeout: float = 30.0
    stops: frozenset[str] = field(default_factory=frozenset)
    starts: frozenset[str] = field(default_factory=frozenset)
    fences: frozenset[str] = field(default_factory=frozenset)


class Sheet(CommonSheet):
    """Collects blockers, what passed, and warnings."""

    def __init__(self, wish: Wish, seen: Snapshot, rules: Rules) -> None:
        super().__init__(wish, seen, rules.members, rules.fences)
        self.rules = rules

    @property
    def config(self) -> Mapping[str, Any]:
        """Patroni's dynamic configuration, as far as it was seen."""
        found: Mapping[str, Any] = self.seen.more["config"]
        return found

    def whole(self) -> None:
        """Everybody who answers belongs to one and the same cluster, as it was declared."""
        grave = [
            each for each in self.seen.problems
            if each.startswith(("scope:", "system-id:", "misnamed:", "disagree:", "dcs:"))
        ]  # fmt: skip
        for each in grave:
            check, _, text = each.partition(": ")
            self.judge(check, text)
        if not grave:
            self.judge("cluster", "", "the members are of one cluster and agree about it")
        when = self.seen.more["scheduled"]
        text = f"a switchover is scheduled ({when}), and Patroni would forget it"
        self.judge("scheduled", f"{text}; take it out first: patronictl flush" if when else "")

    def traffic(self) -> None:
        """Every switch answers, and a reload would bring the state that it has."""
        bad = [
            f"{name}: {problem}"
            for name, problems in self.seen.more["switches"].items()
            for problem in problems
        ]
        good = "switches answer, and files say what runs" if self.seen.more["switches"] else ""
        self.judge("traffic", "; ".join(bad), good)

    def roads(self, new: str) -> dict[str, list[str]]:
        """Which switches have to be told of a new primary, and which find it by themselves."""
        servers, told, alone = self.seen.more["servers"], [], []
        for name, states in self.seen.more["states"].items():
            mine = {k: v for k, v in states.items() if k in servers.values()}
            if not mine:
                continue
            if _checks_roles(mine):
                alone.append(name)
            else:
                told.append(name)
            if new and servers[new] not in mine:
                self.judge("traffic", f"{name} has no server {servers[new]!r} for {new}; add it, "
                           "or say server: of the node")  # fmt: skip
            shut = new and mine.get(servers[new], {}).get("state") not in ("open", None)
            if shut and name in alone:
                self.judge("traffic", f"{name} finds the primary by its checks, but "
                           f"{servers[new]} is closed there; open it first")  # fmt: skip
        return {"told": told, "alone": alone}

    def decision(
        self, action: Any, old: str, new: str, loss: Loss | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Decision:  # fmt: skip
        """All of it."""
        limit = self.wish.limit or self.rules.timeout
        return Decision(
            action, self.seen.cluster, old, new, tuple(self.blockers), tuple(self.passed),
            tuple(self.warnings), loss, {"timeout": limit, **(facts or {})},
        )  # fmt: skip


def _checks_roles(states: Mapping[str, Mapping[str, Any]]) -> bool:
    """More than one server open, each with a check of its own: it goes where the check says."""
    open_ones = [each for each in states.values() if each["state"] == "open"]
    return len(open_ones) > 1 and all(each["healthy"] is not None for each in open_ones)


def tag(node: NodeSeen, name: str) -> bool:
    """Whether a member has a tag set."""
    return node.more.get("tags", {}).get(name) in (True, "true", "True", 1, "on", "yes")
