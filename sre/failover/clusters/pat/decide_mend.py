"""Whom to cut off, and who can be built anew? (pure)"""

from __future__ import annotations

from typing import Any

from sre.failover.clusters.pat.sheet import Rules, Sheet
from sre.failover.engine import Decision, Wish
from sre.failover.snapshot import NodeSeen, Snapshot

__all__ = ["decide_fence", "decide_rejoin"]


def decide_fence(wish: Wish, seen: Snapshot, rules: Rules) -> Decision:
    """Whoever is named. Its Patroni has to go as well, or it would start PostgreSQL again."""
    sheet = Sheet(wish, seen, rules)
    name = wish.node or ""
    facts: dict[str, Any] = {}
    if not name:
        sheet.judge("unknown-node", f"name the node: sre failover fence {seen.cluster} NODE")
    elif sheet.known(name):
        bad = ""
        if name not in rules.stops | rules.fences:
            bad = (
                f"nothing says how Patroni is ended on {name}: give data_dir: and stop: (or "
                "service: of its control is Patroni's unit), or a `fence:` program"
            )
        sheet.judge("fence", bad, f"{name} can be fenced")
        if seen.node(name).role == "primary":
            then = "nobody, for it is paused" if seen.more["pause"] else "another one"
            sheet.warn("primary", f"{name} leads: Patroni will make {then} primary")
        facts = sheet.roads("")
    return sheet.decision("fence", "", name, None, facts)


def decide_rejoin(wish: Wish, seen: Snapshot, rules: Rules) -> Decision:
    """The node that is named, or the only one that does not stream."""
    sheet = Sheet(wish, seen, rules)
    sheet.known(wish.node)
    sheet.whole()
    leader = seen.node(str(seen.more["leader"]))
    led = leader.role == "primary"
    sheet.judge("no-primary", "" if led else "nobody leads: there is nothing to copy from",
                f"{leader.name} leads")  # fmt: skip
    node = _meant(sheet, leader)
    facts: dict[str, Any] = {}
    if node is not None and led:
        facts = _facts(sheet, leader, node)
    return sheet.decision("rejoin", leader.name if led else "", node.name if node else "", None,
                          facts)  # fmt: skip


def _meant(sheet: Sheet, leader: NodeSeen) -> NodeSeen | None:
    name = sheet.wish.node
    if name is not None:
        return sheet.seen.node(name) if name in sheet.rules.members else None
    out = [n for n in sheet.seen.nodes if n.name != leader.name and not n.more.get("streams")]
    if len(out) == 1:
        return out[0]
    names = ", ".join(each.name for each in out) or "none"
    sheet.judge("unknown-node", f"nodes that do not stream: {names}; name one of them")
    return None


def _facts(sheet: Sheet, leader: NodeSeen, node: NodeSeen) -> dict[str, Any]:
    cluster = sheet.seen.cluster
    if node.name == leader.name:
        sheet.judge("same-node", f"{node.name} leads; name another node")
    elif node.more.get("streams") and node.timeline == leader.timeline:
        sheet.judge("streams", f"{node.name} streams from {leader.name} already")
    start = not node.reachable
    can = node.name in sheet.rules.starts
    bad = f"Patroni on {node.name} does not answer ({node.state}); start it there, then: "
    bad += f"sre failover rejoin {cluster} {node.name} (or give data_dir: and start:)"
    sheet.judge("control", bad if start and not can else "",
                f"Patroni on {node.name} {'will be started' if start else 'answers'}")  # fmt: skip
    if sheet.seen.more["pause"]:
        sheet.warn("paused", "Patroni is paused: it may leave the node as it is; "
                   f"sre failover unpause {cluster}")  # fmt: skip
    if not start:
        sheet.warn("reinitialize", f"the data of {node.name} is thrown away and copied anew from "
                   f"{leader.name}")  # fmt: skip
    return {"start": start, "timeline": leader.timeline, "system": leader.more["system"],
            "synchronous": bool(sheet.config.get("synchronous_mode"))}  # fmt: skip
