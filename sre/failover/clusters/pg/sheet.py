"""How do the checks of a decision come together, and which are common to all actions? (pure)"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sre.failover.clusters.common.sheet import CommonSheet, machine_of
from sre.failover.clusters.pg.quorum import Names, parse_names, waits
from sre.failover.clusters.pg.wrong import twins
from sre.failover.engine import Wish
from sre.failover.snapshot import NodeSeen, Snapshot

__all__ = ["Rules", "Sheet"]


@dataclass(frozen=True)
class Rules:
    """What the declaration says, as far as decisions need it.

    Attributes:
        synchronous: `ANY 1`, or empty: as the servers are configured.
        max_lag: bytes that a standby may be behind before a switchover.
        priority: node -> preference among equals; higher is better.
        fences: nodes for which a fencing program is declared.
    """

    nodes: tuple[str, ...]
    synchronous: str = ""
    max_lag: int = 16 * 2**20
    priority: Mapping[str, int] = field(default_factory=dict)
    fences: frozenset[str] = frozenset()


class Sheet(CommonSheet):
    """Collects blockers, what passed, and warnings."""

    def __init__(self, wish: Wish, seen: Snapshot, rules: Rules) -> None:
        super().__init__(wish, seen, rules.nodes, rules.fences)
        self.rules = rules

    def one_system(self) -> None:
        """Everybody who answers is a copy of the same database."""
        systems = {n.name: n.more["system"] for n in self.seen.nodes if n.reachable}
        bad = ""
        if len(set(systems.values())) > 1:
            bad = "the nodes have different system identifiers: they are not copies; mend the dsn"
        good = "all that answer are copies of one system" if len(systems) > 1 else ""
        self.judge("system-id", bad, good, **systems)
        self.judge("same-server", twins(self.seen))
        weak = [n.name for n in self.seen.nodes if n.reachable and not n.more["superuser"]]
        if weak:
            self.judge("rights", f"whoever the dsn of {', '.join(weak)} logs in is no superuser: "
                       "settings cannot be changed; use one that is")  # fmt: skip

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

    def room(self, node: NodeSeen) -> None:
        """Whether the disk of a primary to be has room for log."""
        free = machine_of(self.seen, node.name)["free"]
        if free is None:
            self.warn("disk", f"nobody can tell how much room {node.name} has")
            return
        bad = ""
        if free < 256 * 2**20:
            bad = f"only {free // 2**20} MiB are left on {node.name}; make room first"
        self.judge("disk", bad, f"{node.name} has {free // 2**20} MiB left", free=free)

    def traffic(self) -> None:
        """Every switch answers, and a reload would bring the state that it has."""
        bad = [
            f"{name}: {problem}"
            for name, problems in self.seen.more["switches"].items()
            for problem in problems
        ]
        self.judge("traffic", "; ".join(bad), "switches answer, and files say what runs")

    def rewindable(self, node: NodeSeen) -> None:
        """Whether a lost primary could be rewound, and not only copied anew."""
        settings = node.more["settings"]
        if settings.get("wal_log_hints") != "on" and settings.get("data_checksums") != "on":
            self.warn(
                "rewind-prerequisite",
                f"{node.name} has neither wal_log_hints nor data checksums: after a failover the "
                "old primary must be copied anew; set wal_log_hints = on",
            )

    def retry(self, names: list[str]) -> None:
        """Standbys that wait long before they look for their primary again."""
        slow = {
            name: shown
            for name in names
            if (shown := _setting(self.seen, name, "wal_retrieve_retry_interval")) != "100ms"
            and shown
        }
        if slow:
            self.warn(
                "retry-interval",
                "wal_retrieve_retry_interval is set to 100ms for the operation on "
                + ", ".join(sorted(slow)),
                **slow,
            )


def _setting(seen: Snapshot, name: str, setting: str) -> str:
    node = seen.node(name)
    return str(node.more["settings"].get(setting) or "") if node.reachable else ""


def rule_of(text: str, commit: str) -> Names:
    """A rule that commits wait for; the empty one when they wait for nobody. Raises ValueError."""
    return parse_names(text) if waits(commit) else Names()


def names_after(seen: Snapshot, rules: Rules, old: str, new: str, truth: str) -> Names:
    """Which synchronous rule the new primary shall have.

    `truth` is what the old primary had. Raises ValueError when it cannot be read.
    """
    others = [each for each in rules.nodes if each != new]
    if rules.synchronous:
        return parse_names(f"{rules.synchronous} (x)").over(others)
    mine = seen.node(new).more["settings"]["synchronous_standby_names"] or ""
    return parse_names(truth or mine).exchanged(new, old) if old else parse_names(truth or mine)


def overrides(seen: Snapshot, names: list[str], setting: str) -> dict[str, str | None]:
    """What each node's postgresql.auto.conf says of a setting; None: nothing."""
    found = {}
    for name in names:
        node = seen.node(name)
        if node.reachable:
            found[name] = node.more["overrides"].get(setting)
    return found


def slots_used(seen: Snapshot) -> dict[str, str]:
    """Node -> the replication slot that it uses on its primary; without those who use none."""
    found = {}
    for node in seen.nodes:
        slot = _setting(seen, node.name, "primary_slot_name")
        if slot:
            found[node.name] = slot
    return found
