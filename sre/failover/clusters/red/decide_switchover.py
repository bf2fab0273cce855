"""May the primary change now, on purpose, and to whom? (pure)"""

from __future__ import annotations

from typing import Any

from sre.failover.clusters.red.sheet import Rules, Sheet, watching
from sre.failover.engine import Decision, Wish
from sre.failover.snapshot import NodeSeen, Snapshot

__all__ = ["decide_switchover", "priorities"]

_LEAST_VERSION = (6, 2)


def decide_switchover(wish: Wish, seen: Snapshot, rules: Rules) -> Decision:
    """The best replica, or the one that is wanted; every reason against it."""
    sheet = Sheet(wish, seen, rules)
    sheet.known(wish.to)
    old = _primary(sheet)
    new = _candidate(sheet, old)
    sheet.no_cluster()
    sheet.traffic(files=True)
    sheet.watched()
    facts: dict[str, Any] = {}
    if old is not None:
        _check_old(sheet, old)
    if new is not None and old is not None and new.name != old.name:
        _check_new(sheet, old, new)
        facts = _facts(sheet, old, new)
        sheet.durable(new)
        sheet.followers(new, len(facts["siblings"]) + 1)
        _check_sentinels(sheet, old, new)
    return Decision(
        "switchover", seen.cluster, old.name if old else "", new.name if new else "",
        tuple(sheet.blockers), tuple(sheet.passed), tuple(sheet.warnings), facts=facts,
    )  # fmt: skip


def _primary(sheet: Sheet) -> NodeSeen | None:
    found, cluster = sheet.seen.primaries(), sheet.seen.cluster
    if len(found) > 1:
        names = " and ".join(each.name for each in found)
        sheet.judge("two-primaries", f"{names} both say that they are primary; make the wrong one "
                    f"a replica: sre failover rejoin {cluster} NODE")  # fmt: skip
        return None
    if not found:
        sheet.judge("no-primary", "no node is primary now; look at `sre failover status`, and if "
                    f"it is gone: sre failover failover {cluster}")  # fmt: skip
        return None
    primary = found[0]
    bad = "" if primary.writable else f"{primary.name} takes no writes: {primary.problems[0]}"
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
            sheet.judge("no-standby", f"{wanted} is no replica that answers ({why})")
        return node if node.role == "standby" else None
    standbys = sheet.seen.standbys()
    if not standbys:
        sheet.judge("no-standby", "no replica answers; build one, or bring one back")
        return None
    return max(standbys, key=lambda each: _worth(each, sheet, old))


def _worth(node: NodeSeen, sheet: Sheet, old: NodeSeen | None) -> tuple[object, ...]:
    settings = node.more["settings"]
    return (
        old is None or node.more["follows"] == old.name,
        node.state == "streaming",
        settings.get("replica-priority") != "0",
        sheet.rules.priority.get(node.name, 0),
        -int(settings.get("replica-priority") or 100),  # lower is better there
        -(node.more["behind"] or 0),
        -sheet.rules.nodes.index(node.name),
    )


def _check_old(sheet: Sheet, old: NodeSeen) -> None:
    version = str(old.more["version"])
    parts = tuple(int(each) for each in version.split(".")[:2] if each.isdecimal())
    bad = f"{old.name} is Redis {version}; to hold writes up alone needs 6.2 (CLIENT PAUSE WRITE)"
    sheet.judge("version", bad if parts < _LEAST_VERSION else "", f"Redis {version}")
    if old.more["settings"].get("replica-read-only") == "no":
        sheet.judge("replica-read-only", f"{old.name} as a replica would take writes that nobody "
                    "keeps; CONFIG SET replica-read-only yes there")  # fmt: skip


def _check_new(sheet: Sheet, old: NodeSeen, new: NodeSeen) -> None:
    bad = "" if new.state == "streaming" else f"{new.name} does not stream: {new.state}; look why"
    if not bad and new.more["follows"] != old.name:
        where = f"{new.more['host']}:{new.more['port']}"
        bad = (f"{new.name} follows {where}, and not {old.name}; if that is {old.name}, give it "
               f"address: {where}, else REPLICAOF")  # fmt: skip
    sheet.judge("not-streaming", bad, f"{new.name} streams from {old.name}")
    same = new.more["replid"] == old.more["replid"]
    bad = f"{new.name} and {old.name} have different histories (replid); sre failover rejoin"
    sheet.judge("history", "" if same else bad, "one history")
    behind, limit = new.more["behind"], sheet.rules.max_lag
    if same:
        bad = f"{new.name} is {behind} bytes behind, max_lag is {limit}; wait, or look why"
        unknown = behind is None or behind > limit
        sheet.judge("lag", bad if unknown else "", f"{new.name} is {behind} bytes behind",
                    bytes=behind, max_lag=limit)  # fmt: skip
    if new.more["settings"].get("requirepass") and old.more["settings"].get("masterauth") == "":
        sheet.judge("masterauth", f"{old.name} has no masterauth, and {new.name} wants a password: "
                    f"CONFIG SET masterauth on {old.name}, so that it can follow")  # fmt: skip


def _check_sentinels(sheet: Sheet, old: NodeSeen, new: NodeSeen) -> None:
    known = watching(sheet.seen)
    if not known:
        return
    others = {name: each["master"] for name, each in known.items() if each["master"] != old.name}
    told = "; ".join(f"{name} says {said or 'a stranger'}" for name, said in others.items())
    bad = f"the sentinels do not agree that {old.name} is primary: {told}; wait, or address:"
    sheet.judge("sentinels-agree", bad if others else "", f"all say that {old.name} is primary")
    unable = {name: each["unable"] for name, each in known.items() if not each["able"]}
    words = "; ".join(f"{name}: {why}" for name, why in unable.items())
    sheet.judge("quorum", words and f"{words}; bring sentinels back", "the sentinels have a quorum")
    down = [name for name, each in known.items() if _down(each, new.name)]
    bad = f"{', '.join(down)} hold {new.name} to be down, or do not know it; look why"
    sheet.judge("sentinel-knows", bad if down else "", f"the sentinels know {new.name}")
    if new.more["settings"].get("replica-priority") == "0":
        sheet.judge("priority", f"{new.name} has replica-priority 0: no sentinel would choose it; "
                    f"CONFIG SET replica-priority 100 there")  # fmt: skip


def _down(said: Any, node: str) -> bool:
    mine = [row for row in said["replicas"] if row["node"] == node]
    return not mine or any({"s_down", "disconnected"} & set(row["flags"]) for row in mine)


def priorities(sheet: Sheet, new: str, others: list[str]) -> dict[str, str]:
    """Node -> its replica-priority, for those that a sentinel might choose in place of `new`."""
    if not sheet.rules.sentinels:
        return {}
    found = {name: sheet.seen.node(name).more["settings"].get("replica-priority", "100")
             for name in others if name != new}  # fmt: skip
    return {name: value for name, value in found.items() if value != "0"}


def _called(sheet: Sheet, node: str) -> str:
    """How the sentinels call a node; empty: there are none, or none knows it."""
    rows = [row for each in watching(sheet.seen).values() for row in each["replicas"]]
    return next((f"{row['host']}:{row['port']}" for row in rows if row["node"] == node), "")


def _facts(sheet: Sheet, old: NodeSeen, new: NodeSeen) -> dict[str, Any]:
    seen = sheet.seen
    siblings = [n.name for n in seen.standbys() if n.name != new.name
                and n.more["replid"] == old.more["replid"]]  # fmt: skip
    for node in seen.nodes:
        if node.name not in (old.name, new.name, *siblings):
            sheet.warn("left-behind", f"{node.name} ({node.state or 'no answer'}) will not follow; "
                       f"afterwards: sre failover rejoin {seen.cluster} {node.name}")  # fmt: skip
    others = [n.name for n in seen.standbys()]
    return {
        "siblings": siblings,
        "priorities": priorities(sheet, new.name, others),
        "replid": old.more["replid"],
        "pause": sheet.rules.pause,
        "at": _called(sheet, new.name),
        "runids": {n.name: n.more["runid"] for n in seen.nodes if n.reachable},
    }
