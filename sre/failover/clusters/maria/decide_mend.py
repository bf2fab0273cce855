"""Whom to cut off, and who can come back as a replica? (pure)"""

from __future__ import annotations

from typing import Any

from sre.failover.clusters.common.sheet import machine_of
from sre.failover.clusters.maria.seen import errant_of
from sre.failover.clusters.maria.sheet import Rules, Sheet, semi_sync_after
from sre.failover.engine import Decision, Wish
from sre.failover.snapshot import NodeSeen, Snapshot

__all__ = ["decide_fence", "decide_rejoin"]

_PURGED = {"1236", "1944", "1945", "1947", "1950"}
"""The primary has not the log that the replica needs, or the replica has what it has not."""


def decide_fence(wish: Wish, seen: Snapshot, rules: Rules) -> Decision:
    """Whoever is named; the reachable control or the program must be there."""
    sheet = Sheet(wish, seen, rules)
    name = wish.node or ""
    if not name:
        sheet.judge("unknown-node", f"name the node: sre failover fence {seen.cluster} NODE")
    elif sheet.known(name):
        machine = machine_of(seen, name)
        bad = ""
        if machine["unreachable"] and name not in rules.fences:
            bad = (
                f"the control of {name} does not reach it ({machine['unreachable']}), and it has "
                "no `fence:` program; declare one, or make it reachable"
            )
        sheet.judge("fence", bad, f"{name} can be fenced")
        if seen.node(name).role == "primary":
            sheet.warn("primary", f"{name} is primary: until a failover nobody can write")
    return sheet.decision("", name, {})


def decide_rejoin(wish: Wish, seen: Snapshot, rules: Rules) -> Decision:
    """The node that is named, or the only one that does not follow."""
    sheet = Sheet(wish, seen, rules)
    sheet.known(wish.node)
    primary = sheet.primary()
    node = _meant(sheet, primary)
    facts: dict[str, Any] = {}
    if node is not None and primary is not None:
        if node.role == "primary":
            sheet.judge("same-node", f"{node.name} is the primary; name another node")
        machine = machine_of(seen, node.name)
        missing = [each for each in machine["missing"] if "sre-fenced" not in each]
        bad = machine["unreachable"] or "; ".join(missing)
        sheet.judge("control", f"the control of {node.name}: {bad}; mend it" if bad else "",
                    f"{node.name} can be controlled")  # fmt: skip
        sheet.rights(primary, node)
        sheet.servers()
        facts = _facts(sheet, primary, node)
    return sheet.decision(primary.name if primary else "", node.name if node else "", facts)


def _meant(sheet: Sheet, primary: NodeSeen | None) -> NodeSeen | None:
    if sheet.wish.node is not None:
        return sheet.seen.node(sheet.wish.node) if sheet.wish.node in sheet.rules.nodes else None
    out = [n for n in sheet.seen.nodes if n != primary and not _follows(n)]
    if len(out) == 1:
        return out[0]
    names = ", ".join(each.name for each in out) or "none"
    sheet.judge("unknown-node", f"nodes that do not follow: {names}; name one of them")
    return None


def _follows(node: NodeSeen) -> bool:
    fine = node.role == "standby" and node.state == "streaming" and node.more.get("known")
    return bool(fine) and not node.more.get("errant")


def _way(node: NodeSeen, primary: NodeSeen) -> str:
    """`none`: it follows. `follow`: it only has to be told. `start`: it does not run, and its log
    is looked at first. `copy`: it has what the primary has not, or cannot get what it lacks."""
    if not node.reachable:
        return "start"
    if _follows(node):
        return "none"
    slave = node.more["slave"] or {}
    broken = str(slave.get("Last_IO_Errno")) in _PURGED or slave.get("Last_SQL_Errno")
    return "copy" if errant_of(node, primary) or broken else "follow"


def _facts(sheet: Sheet, primary: NodeSeen, node: NodeSeen) -> dict[str, Any]:
    known = sheet.seen.more["remembered"]
    semi = semi_sync_after(sheet.rules, primary.more, known.get("wanted", {}))
    wanted = known.get("wanted", {})
    if sheet.rules.semi_sync is None and wanted.get("rpl_semi_sync_master_enabled") == "ON":
        semi = {**semi, **wanted}  # it was given up only because nobody was left
    on = semi.get("rpl_semi_sync_master_enabled") == "ON"
    index = known.get("index", {}).get(node.name) or ""
    if node.reachable:
        index = str(node.more.get("log_bin_index") or index)
    return {
        "way": _way(node, primary),
        "semi_sync": semi,
        "acks": "ON" if on else str(primary.more["rpl_semi_sync_slave_enabled"]),
        "index": index,
        "state": str(primary.more["gtid_binlog_state"]),
        "slave_pos": str(primary.more["gtid_slave_pos"]),
        "source_data": str(primary.more["datadir"]),
        "at": sheet.seen.at,
        "use_gtid": "slave_pos",
        "servers": {n.name: int(n.more["server_id"]) for n in sheet.seen.nodes if n.reachable},
    }
