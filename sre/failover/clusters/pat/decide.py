"""May Patroni be asked to change its leader now, on purpose, and to whom? (pure)"""

from __future__ import annotations

from typing import Any

from sre.failover.clusters.pat.sheet import Rules, Sheet, tag
from sre.failover.engine import Decision, Wish
from sre.failover.snapshot import NodeSeen, Snapshot

__all__ = ["decide_switchover", "max_lag", "synchronous_mode"]

_DEFAULT_LAG = 1048576


def decide_switchover(wish: Wish, seen: Snapshot, rules: Rules) -> Decision:
    """The best standby, or the one that is wanted; every reason against it."""
    sheet = Sheet(wish, seen, rules)
    sheet.known(wish.to)
    sheet.whole()
    sheet.traffic()
    old = _leader(sheet)
    new = _candidate(sheet, old) if old is not None else None
    facts: dict[str, Any] = {}
    if old is not None and new is not None:
        _check_new(sheet, old, new)
        _remarks(sheet, old, new)
        facts = {
            "timeline": old.timeline,
            "system": old.more["system"],
            "synchronous": synchronous_mode(sheet),
            **sheet.roads(new.name),
        }
    return sheet.decision(
        "switchover", old.name if old else "", new.name if new else "", None, facts
    )


def synchronous_mode(sheet: Sheet) -> bool:
    """Whether commits wait for a standby that Patroni names."""
    return sheet.config.get("synchronous_mode") not in (None, False, "off", "false", "False")


def max_lag(sheet: Sheet) -> int:
    """Bytes that a new leader may be behind, as Patroni is configured."""
    found = sheet.config.get("maximum_lag_on_failover", _DEFAULT_LAG)
    return found if isinstance(found, int) and not isinstance(found, bool) else _DEFAULT_LAG


def _leader(sheet: Sheet) -> NodeSeen | None:
    seen = sheet.seen
    primaries, holder = seen.primaries(), str(seen.more["leader"])
    two = next((p for p in seen.problems if p.startswith("two-primaries: ")), "")
    if two:
        names = two.partition(": ")[2].replace(", ", " and ")
        sheet.judge("two-primaries", f"{names} both take writes; fence the wrong one first")
        return None
    if seen.more["standby_cluster"]:
        sheet.judge("standby-cluster", "this is a standby cluster: it has no primary to change; "
                    "promote it by Patroni's standby_cluster setting")  # fmt: skip
        return None
    if not primaries or primaries[0].name != holder:
        who = f"{holder} holds the leader's key, but " if holder else "nobody leads, and "
        runs = f"{primaries[0].name} runs as primary" if primaries else "nobody runs as primary"
        sheet.judge("no-primary", f"{who}{runs}; wait for Patroni, look at sre failover status, "
                    f"and if it stays so: sre failover failover {seen.cluster}")  # fmt: skip
        return None
    bad = "" if primaries[0].writable else f"{holder} is primary, but takes no writes"
    sheet.judge("primary", bad, f"{holder} leads")
    return primaries[0]


def _candidate(sheet: Sheet, old: NodeSeen) -> NodeSeen | None:
    wanted = sheet.wish.to
    if wanted is not None:
        if wanted == old.name:
            sheet.judge("same-node", f"{wanted} leads already; name another node")
            return None
        node = sheet.seen.node(wanted)
        if wanted in sheet.rules.members and node.role != "standby":
            why = node.state or "no answer"
            sheet.judge("no-standby", f"{wanted} is no standby that answers ({why})")
            return None
        return node if node.role == "standby" else None
    standbys = [each for each in sheet.seen.standbys() if each.name != old.name]
    if not standbys:
        sheet.judge("no-standby", "no standby answers; bring one back")
        return None
    return max(standbys, key=lambda each: worth(each, sheet, old.timeline))


def worth(node: NodeSeen, sheet: Sheet, timeline: int) -> tuple[Any, ...]:
    """By what candidates are compared; the greatest is taken."""
    priority = node.more["tags"].get("failover_priority", 1)
    return (
        not (tag(node, "nofailover") or priority == 0),
        node.synchronous,
        node.timeline == timeline,
        node.more["streams"],
        not node.more["paused"],
        priority if isinstance(priority, int) else 1,
        -(node.more["behind"] or 0),
        -list(sheet.rules.members).index(node.name),
    )


def _check_new(sheet: Sheet, old: NodeSeen, new: NodeSeen) -> None:
    able(sheet, new)
    bad = f"{old.name} does not see {new.name} stream: {new.state}; look at its Patroni's log"
    sheet.judge("not-streaming", "" if new.more["streams"] else bad, f"{new.name} streams")
    bad = f"{new.name} is on timeline {new.timeline}, {old.name} on {old.timeline}"
    sheet.judge("timeline", "" if new.timeline == old.timeline else f"{bad}; rejoin it first",
                f"both on timeline {old.timeline}")  # fmt: skip
    behind, limit = new.more["behind"], max_lag(sheet)
    shown = "an unknown number of" if behind is None else str(behind)
    bad = f"{new.name} is {shown} bytes behind, maximum_lag_on_failover is {limit}; wait, or look"
    sheet.judge("lag", bad if behind is None or behind > limit else "",
                f"{new.name} is {behind} bytes behind", bytes=behind, max_lag=limit)  # fmt: skip
    if synchronous_mode(sheet):
        others = ", ".join(n.name for n in sheet.seen.nodes if n.synchronous) or "none now"
        bad = f"{new.name} is not synchronous, and Patroni takes no other (they are: {others})"
        sheet.judge("synchronous", "" if new.synchronous else bad, f"{new.name} is synchronous")


def able(sheet: Sheet, new: NodeSeen) -> None:
    """What Patroni would not promote, or not at once."""
    tags = new.more["tags"]
    barred = tag(new, "nofailover") or tags.get("failover_priority") == 0
    bad = f"{new.name} is tagged nofailover in its patroni.yml; name another node"
    sheet.judge("nofailover", bad if barred else "", f"{new.name} may become primary")
    bad = f"the replay on {new.name} is paused; select pg_wal_replay_resume() there"
    sheet.judge("replay-paused", bad if new.more["paused"] else "", f"{new.name} replays")
    bad = f"the watchdog that {new.name} must have is not usable; mend it there"
    sheet.judge("watchdog", bad if new.more["watchdog"] == "failed" else "")


def _remarks(sheet: Sheet, old: NodeSeen, new: NodeSeen) -> None:
    seen = sheet.seen
    if seen.more["pause"]:
        sheet.warn("paused", "Patroni is paused: it does what is asked, and mends nothing by itself"
                   f" if that goes wrong; sre failover unpause {seen.cluster}")  # fmt: skip
    for node in seen.nodes:
        if node.name not in (old.name, new.name) and not node.more.get("streams"):
            sheet.warn("left-behind", f"{node.name} ({node.state or 'no answer'}) does not stream")
    if new.more["watchdog"] == "not armed":
        text = f"no watchdog is armed on {new.name}: nothing would stop its primary"
        sheet.warn("watchdog", f"{text} if its Patroni hung")
    if any(problem.startswith("pending-restart") for problem in new.problems):
        sheet.warn("pending-restart", f"a setting on {new.name} waits for a restart")
