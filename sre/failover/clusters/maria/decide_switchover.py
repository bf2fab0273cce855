"""May the primary change now, on purpose, and to whom? (pure)"""

from __future__ import annotations

from typing import Any

from sre.failover.clusters.maria.gtid import position_of
from sre.failover.clusters.maria.seen import errant_of, executed, written
from sre.failover.clusters.maria.sheet import Rules, Sheet, semi_sync_after
from sre.failover.engine import Decision, Wish
from sre.failover.snapshot import NodeSeen, Snapshot

__all__ = ["decide_switchover", "followers", "may_be_primary"]

_LONG = 30.0


def decide_switchover(wish: Wish, seen: Snapshot, rules: Rules) -> Decision:
    """The best replica, or the one that is wanted; every reason against it."""
    sheet = Sheet(wish, seen, rules)
    sheet.known(wish.to)
    old = sheet.primary()
    new = _candidate(sheet, old)
    sheet.servers()
    sheet.traffic()
    facts: dict[str, Any] = {}
    if old is not None:
        _check_old(sheet, old)
    if new is not None and old is not None and new.name != old.name:
        _check_new(sheet, old, new)
        sheet.room(new)
        sheet.rights(old, *seen.standbys())
        sheet.comes_back(old)
        facts = _facts(sheet, old, new)
    return sheet.decision(old.name if old else "", new.name if new else "", facts)


def _candidate(sheet: Sheet, old: NodeSeen | None) -> NodeSeen | None:
    wanted = sheet.wish.to
    if wanted is not None:
        if old is not None and wanted == old.name:
            sheet.judge("same-node", f"{wanted} is primary already; name another node")
            return None
        node = sheet.seen.node(wanted)
        if wanted in sheet.rules.nodes and node.role != "standby":
            why = node.state or node.role
            sheet.judge("no-standby", f"{wanted} is no replica that answers ({why})")
            return None
        return node if node.role == "standby" else None
    standbys = sheet.seen.standbys()
    if not standbys:
        sheet.judge("no-standby", "no replica answers; build one, or bring one back")
        return None
    return max(standbys, key=lambda each: _worth(each, sheet))


def _worth(node: NodeSeen, sheet: Sheet) -> tuple[object, ...]:
    more = node.more
    slave = more["slave"] or {}
    return (
        node.state == "streaming" and bool(more.get("known")),
        not more.get("errant") and not slave.get("SQL_Delay") and not slave.get("filters"),
        node.synchronous,
        sheet.rules.priority.get(node.name, 0),
        -(more.get("behind") or 0),
        -sheet.rules.nodes.index(node.name),
    )


def _check_old(sheet: Sheet, old: NodeSeen) -> None:
    prepared = int(old.more["prepared"])
    bad = f"{prepared} XA transactions are prepared on {old.name}; commit or roll them back first"
    sheet.judge("prepared-transactions", bad if prepared else "", "no prepared transactions")
    longest = float(old.more["longest"])
    if longest > _LONG:
        sheet.warn("long-transactions", f"a transaction on {old.name} has been open for "
                   f"{longest:.0f} s; it will be ended", seconds=longest)  # fmt: skip
    bad = f"{old.name} writes no binary log; set log_bin"
    sheet.judge("binlog", bad if old.more["log_bin"] != "ON" else "")


def may_be_primary(sheet: Sheet, new: NodeSeen) -> None:
    """What must hold of a replica that others shall follow."""
    said, slave = new.more, new.more["slave"] or {}
    bad = ""
    if said["log_bin"] != "ON" or said["log_slave_updates"] != "ON":
        bad = f"{new.name} does not log what it replicates: set log_bin and log_slave_updates"
    sheet.judge("binlog", bad, f"{new.name} logs what it replicates")
    bad = f"{new.name} follows by file and position; CHANGE MASTER TO MASTER_USE_GTID=slave_pos"
    sheet.judge("not-gtid", bad if slave.get("Using_Gtid") == "No" else "", "GTID is used")
    sources = int(said["sources"])
    bad = f"{new.name} replicates from {sources} sources; only one can be switched"
    sheet.judge("multi-source", bad if sources > 1 else "")
    filters = slave.get("filters") or {}
    bad = f"{new.name} leaves out what {', '.join(filters)} say: it has not everything"
    sheet.judge("filters", bad if filters else "", "no filters", **filters)


def _check_new(sheet: Sheet, old: NodeSeen, new: NodeSeen) -> None:
    may_be_primary(sheet, new)
    slave = new.more["slave"] or {}
    _threads(sheet, new, slave)
    bad = ""
    if slave and not new.more.get("known"):
        bad = (
            f"{new.name} replicates from server {slave['Master_Server_Id']} "
            f"({slave['Master_Host']}:{slave['Master_Port']}), not from {old.name} "
            f"(server {old.more['server_id']}); take another, or let it follow {old.name}"
        )
    sheet.judge("another-source", bad, f"{new.name} replicates from {old.name}")
    delay = slave.get("SQL_Delay") or 0
    bad = f"{new.name} is delayed by {delay} s on purpose; CHANGE MASTER TO MASTER_DELAY=0"
    sheet.judge("delayed", bad if delay else "")
    behind, lag, limit = new.more.get("behind"), new.lag_seconds, sheet.rules.max_lag
    bad = ""
    if lag is None or lag > limit:
        shown = "nobody knows how far" if lag is None else f"{lag:.0f} s"
        bad = (
            f"{new.name} is {shown} behind ({behind} transactions), max_lag is {limit:g} s; "
            "wait, or look why"
        )
    sheet.judge("lag", bad, f"{new.name} is {behind} transactions behind",
                transactions=behind, seconds=lag, max_lag=limit)  # fmt: skip
    own = new.more.get("errant") or ""
    bad = (
        f"{new.name} has transactions that {old.name} has not: {own}; keep them and copy it anew: "
        f"sre failover rejoin {sheet.seen.cluster} {new.name}"
    )
    sheet.judge("errant", bad if own else "", f"{new.name} has nothing that {old.name} has not")
    strange = sorted(set(executed(new.more)) - set(written(old.more)))
    bad = f"{new.name} has replication domains that {old.name} has not: {strange}"
    sheet.judge("domains", bad if strange else "", "the same replication domains")
    if old.more["gtid_strict_mode"] != "ON" or new.more["gtid_strict_mode"] != "ON":
        sheet.warn("gtid-strict", "gtid_strict_mode is off: a transaction on the wrong node is "
                   "not refused; set gtid_strict_mode = 1")  # fmt: skip
    if _release(new) > min(_release(each) for each in sheet.seen.nodes if each.reachable):
        sheet.warn("version", f"{new.name} is newer than others, which may not understand its log")


def _threads(sheet: Sheet, new: NodeSeen, slave: dict[str, Any]) -> None:
    sql = slave.get("Slave_SQL_Running") == "Yes"
    said = f": {slave['Last_SQL_Error']}" if slave.get("Last_SQL_Error") else ""
    bad = f"the SQL thread of {new.name} is stopped{said}; mend it, then START SLAVE"
    sheet.judge("sql-stopped", "" if sql or not slave else bad, f"{new.name} executes")
    said = f": {slave['Last_IO_Error']}" if slave.get("Last_IO_Error") else ""
    bad = f"{new.name} receives nothing ({new.state}){said}; look at its replication"
    sheet.judge("not-streaming", "" if slave.get("Slave_IO_Running") == "Yes" else bad,
                f"{new.name} receives")  # fmt: skip


def _release(node: NodeSeen) -> tuple[int, ...]:
    words = str(node.more["version"]).split("-", 1)[0].split(".")
    return tuple(int(each) for each in words[:2] if each.isdigit())


def followers(sheet: Sheet, primary: NodeSeen | None, new: NodeSeen) -> list[str]:
    """The other replicas that can follow `new`; a warning for each that cannot."""
    seen, found = sheet.seen, []
    for node in seen.nodes:
        if node.name == new.name or (primary is not None and node.name == primary.name):
            continue
        if node.role == "standby" and (slave := node.more["slave"]):
            own = errant_of(node, primary) if primary is not None else ""
            same = primary is None or node.more.get("known")
            if slave["Using_Gtid"] != "No" and not own and same and node.more["sources"] == 1:
                found.append(node.name)
                continue
        sheet.warn("left-behind", f"{node.name} ({node.state or 'no answer'}) will not follow; "
                   f"afterwards: sre failover rejoin {seen.cluster} {node.name}")  # fmt: skip
    return found


def _facts(sheet: Sheet, old: NodeSeen, new: NodeSeen) -> dict[str, Any]:
    siblings = followers(sheet, old, new)
    semi = semi_sync_after(sheet.rules, old.more, sheet.seen.more["remembered"].get("wanted", {}))
    on = semi.get("rpl_semi_sync_master_enabled") == "ON"
    acks = {n.name: str(n.more["rpl_semi_sync_slave_enabled"]) for n in sheet.seen.nodes
            if n.name in (new.name, *siblings)}  # fmt: skip
    if on and old.more.get("rpl_semi_sync_master_status") != "ON":
        sheet.warn("semi-sync", f"{old.name} waits for no replica any more; look why")
    return {
        "siblings": siblings,
        "semi_sync": semi,
        "masters": {n.name: str(n.more["rpl_semi_sync_master_enabled"]) for n in sheet.seen.nodes
                    if n.name in (new.name, *siblings)},
        "acks": "ON" if on or "ON" in acks.values() else "OFF",
        "acks_before": str(old.more["rpl_semi_sync_slave_enabled"]),
        "use_gtid": "slave_pos",
        "servers": {n.name: int(n.more["server_id"]) for n in sheet.seen.nodes if n.reachable},
        "domains": sorted(position_of(old.more["gtid_binlog_pos"])),
    }  # fmt: skip
