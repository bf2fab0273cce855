"""May the primary change now, on purpose, and to whom? (pure)"""

from __future__ import annotations

from sre.failover.clusters.pg.seen import seconds_of
from sre.failover.clusters.pg.sheet import (
    Rules,
    Sheet,
    names_after,
    overrides,
    slots_used,
)
from sre.failover.clusters.pg.wrong import twins
from sre.failover.engine import Decision, Wish
from sre.failover.snapshot import NodeSeen, Snapshot

__all__ = ["decide_switchover"]

_LONG = 30.0


def decide_switchover(wish: Wish, seen: Snapshot, rules: Rules) -> Decision:
    """The best standby, or the one that is wanted; every reason against it."""
    sheet = Sheet(wish, seen, rules)
    sheet.known(wish.to)
    old = _primary(sheet)
    new = _candidate(sheet, old)
    sheet.one_system()
    sheet.traffic()
    facts: dict[str, object] = {}
    if old is not None:
        _check_old(sheet, old)
        sheet.controlled(old.name, "stop it there")
    if new is not None and old is not None and new.name != old.name:
        _check_new(sheet, old, new)
        sheet.room(new)
        sheet.rewindable(new)
        facts = _facts(sheet, old, new)
    return Decision(
        "switchover", seen.cluster, old.name if old else "", new.name if new else "",
        tuple(sheet.blockers), tuple(sheet.passed), tuple(sheet.warnings), facts=facts,
    )  # fmt: skip


def _primary(sheet: Sheet) -> NodeSeen | None:
    found = sheet.seen.primaries()
    if len(found) > 1:
        names = " and ".join(each.name for each in found)
        same = twins(sheet.seen)
        sheet.judge(
            "two-primaries", "" if same else f"{names} both take writes; fence the wrong one first"
        )
        return None
    if not found:
        sheet.judge(
            "no-primary",
            "no node is primary now; look at `sre failover status`, and if it is gone: "
            f"sre failover failover {sheet.seen.cluster}",
        )
        return None
    primary = found[0]
    bad = "" if primary.writable else f"{primary.name} is primary, but takes no writes"
    sheet.judge("primary", bad, f"{primary.name} is the only primary")
    return primary


def _candidate(sheet: Sheet, old: NodeSeen | None) -> NodeSeen | None:
    wanted = sheet.wish.to
    if wanted is not None:
        if old is not None and wanted == old.name:
            sheet.judge("same-node", f"{wanted} is primary already; name another node")
            return None
        node = sheet.seen.node(wanted)
        if wanted in sheet.rules.nodes and node.role != "standby":
            why = node.state or node.role
            sheet.judge("no-standby", f"{wanted} is no standby that answers ({why})")
            return None
        return node if node.role == "standby" else None
    standbys = sheet.seen.standbys()
    if not standbys:
        sheet.judge("no-standby", "no standby answers; build one, or bring one back")
        return None
    return max(standbys, key=lambda each: _worth(each, sheet, old))


def _worth(node: NodeSeen, sheet: Sheet, old: NodeSeen | None) -> tuple[object, ...]:
    position = list(sheet.rules.nodes).index(node.name)
    return (
        old is None or node.timeline == old.timeline,
        node.state == "streaming" and bool(node.more.get("known")),
        not node.more["paused"],
        not seconds_of(str(node.more["settings"].get("recovery_min_apply_delay") or "0")),
        node.synchronous,
        sheet.rules.priority.get(node.name, 0),
        -(node.more.get("behind") or 0),
        -position,
    )


def _check_old(sheet: Sheet, old: NodeSeen) -> None:
    backups = sum(int(each.more["backups"]) for each in sheet.seen.nodes if each.reachable)
    bad = f"{backups} base backups are running; wait for their end" if backups else ""
    sheet.judge("base-backup", bad, "no base backup is running")
    prepared = int(old.more["prepared"])
    bad = f"{prepared} prepared transactions on {old.name}; commit or roll them back first"
    sheet.judge("prepared-transactions", bad if prepared else "", "no prepared transactions")
    longest = float(old.more["longest"])
    if longest > _LONG:
        sheet.warn("long-transactions", f"a transaction on {old.name} has been open for "
                   f"{longest:.0f} s; it will be ended", seconds=longest)  # fmt: skip
    logical = [each["name"] for each in old.more["slots"] if each["type"] == "logical"]
    if logical:
        sheet.warn("slots", f"logical slots do not move with the primary: {', '.join(logical)}")


def _check_new(sheet: Sheet, old: NodeSeen, new: NodeSeen) -> None:
    bad = "" if new.state == "streaming" else f"{new.name} does not stream: {new.state}"
    if not bad and not new.more["known"]:
        bad = (
            f"{old.name} has no standby called {new.name}: set application_name={new.name} in "
            f"its primary_conninfo, or name the node as it calls itself"
        )
    sheet.judge("not-streaming", bad, f"{new.name} streams")
    bad = f"the replay on {new.name} is paused; select pg_wal_replay_resume() there"
    sheet.judge("replay-paused", bad if new.more["paused"] else "", f"{new.name} replays")
    delay = str(new.more["settings"].get("recovery_min_apply_delay") or "0")
    bad = (
        f"{new.name} replays {delay} late (recovery_min_apply_delay): writes would stop for so "
        "long; alter system set recovery_min_apply_delay = 0 there, or name another"
    )
    sheet.judge("replay-delayed", bad if seconds_of(delay) else "")
    bad = f"{new.name} is on timeline {new.timeline}, {old.name} on {old.timeline}; rejoin it first"
    same = new.timeline == old.timeline
    sheet.judge("timeline", "" if same else bad, f"both on timeline {old.timeline}")
    behind, limit = new.more.get("behind"), sheet.rules.max_lag
    bad = ""
    if behind is None or behind > limit:
        shown = "an unknown number of" if behind is None else str(behind)
        bad = f"{new.name} is {shown} bytes behind, max_lag is {limit}; wait, or look why"
    sheet.judge("lag", bad, f"{new.name} is {behind} bytes behind", bytes=behind, max_lag=limit)
    ahead = (new.position or 0) - (old.position or 0)
    if ahead > 0 and new.state != "streaming":
        sheet.judge("diverged", f"{new.name} is {ahead} bytes ahead of {old.name}; rejoin it first")


def _facts(sheet: Sheet, old: NodeSeen, new: NodeSeen) -> dict[str, object]:
    seen = sheet.seen
    siblings = [n.name for n in seen.standbys() if n.name != new.name
                and n.timeline == old.timeline]  # fmt: skip
    for node in seen.nodes:
        if node.name not in (old.name, new.name, *siblings):
            sheet.warn("left-behind", f"{node.name} ({node.state or 'no answer'}) will not follow; "
                       f"afterwards: sre failover rejoin {seen.cluster} {node.name}")  # fmt: skip
    truth = old.more["settings"]["synchronous_standby_names"] or ""
    try:
        names = names_after(seen, sheet.rules, old.name, new.name, truth).text()
    except ValueError as error:
        sheet.judge("synchronous", str(error))
        names = ""
    both = [new.name, *siblings]
    sheet.retry(both)
    return {
        "siblings": siblings,
        "silent": [node.name for node in seen.nodes if not node.reachable],
        "names": names,
        "names_before": overrides(seen, [new.name], "synchronous_standby_names"),
        "retry": overrides(seen, both, "wal_retrieve_retry_interval"),
        "slots": slots_used(seen),
        "slot_before": overrides(seen, [old.name], "primary_slot_name"),
        "slots_before": [each["name"] for each in new.more["slots"]],
        "timeline": old.timeline,
        "system": old.more["system"],
        "gone": [],
    }
