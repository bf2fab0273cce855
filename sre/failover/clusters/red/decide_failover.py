"""Is the primary gone for certain, who has the most, and what may be lost? (pure)

Redis acknowledges a write before any replica has it. Nothing is lost for certain only where
clients wait for replicas (`wait: N`) and enough of them are here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sre.failover.clusters.common.gone import fenceable, is_gone
from sre.failover.clusters.red.decide_switchover import priorities
from sre.failover.clusters.red.history import enough
from sre.failover.clusters.red.seen import old_primary
from sre.failover.clusters.red.sheet import Rules, Sheet, watching
from sre.failover.engine import Decision, Loss, Wish
from sre.failover.snapshot import NodeSeen, Snapshot

__all__ = ["decide_failover", "is_whole"]

_PATIENCE = 10.0
"""Seconds beyond their failover-timeout for which sentinels may still do it themselves."""


def decide_failover(wish: Wish, seen: Snapshot, rules: Rules) -> Decision:
    """Whether, from whom, to whom; with the bound of what may be lost."""
    sheet = Sheet(wish, seen, rules)
    sheet.known(wish.to)
    old = old_primary(seen)
    is_gone(sheet, old)
    fenceable(sheet, old)
    if wish.recent:
        sheet.judge("recent", f"the last failover was {wish.recent}; look first, then: "
                    f"sre failover ack {seen.cluster}")  # fmt: skip
    sheet.no_cluster()
    sheet.traffic(files=False)
    sheet.watched()
    _sentinels_first(sheet)
    new = _candidate(sheet, old)
    facts: dict[str, Any] = {}
    loss = None
    if new is not None:
        loss = _may_lose(sheet, old, new)
        facts = _facts(sheet, old, new)
        sheet.durable(new)
        sheet.followers(new, len(facts["siblings"]))
    return Decision(
        "failover", seen.cluster, old, new.name if new else "", tuple(sheet.blockers),
        tuple(sheet.passed), tuple(sheet.warnings), loss, facts,
    )  # fmt: skip


def _sentinels_first(sheet: Sheet) -> None:
    """Where they have a quorum, they do it themselves, and two at once are worse than none."""
    able = {name: each for name, each in watching(sheet.seen).items() if each["able"]}
    if not able:
        if sheet.rules.sentinels:
            sheet.judge("sentinel-acts", "", "the sentinels have no quorum: they cannot do it")
        return
    timeout = max((each["failover_timeout"] or 0) / 1000 for each in able.values())
    since = max((each["o_down"] or 0) / 1000 for each in able.values())
    if since > timeout + _PATIENCE:
        sheet.warn("sentinel-acts", f"the sentinels have a quorum, and did not do it in {since:.0f}"
                   " s: look at their logs")  # fmt: skip
        return
    after = max((each["down_after"] or 0) / 1000 for each in able.values())
    sheet.judge("sentinel-acts", f"{', '.join(able)} have a quorum, and do it by themselves some "
                f"seconds after the {after:g} s of down-after-milliseconds; look again then",
                down_after=after, since=since)  # fmt: skip


def is_whole(node: NodeSeen) -> bool:
    """Whether it has lost nothing of what it had acknowledged: it has heard its primary since it
    was started, so that what memory alone had is there."""
    more = node.more
    if more["loading"] or more["syncing"]:
        return False
    return bool(more["link"]) or 0 <= more["down"] < more["uptime"]


def _candidate(sheet: Sheet, old: str) -> NodeSeen | None:
    seen, wanted, rules = sheet.seen, sheet.wish.to, sheet.rules
    standbys = [n for n in seen.standbys() if n.name != old and not n.more["loading"]]
    if not standbys:
        sheet.judge("no-standby", "no replica answers; bring one back, or restore from a backup")
        return None
    if wanted is not None and wanted not in {each.name for each in standbys}:
        if wanted in rules.nodes:
            sheet.judge("no-standby", f"{wanted} is no replica that answers")
        return None
    history = _history(sheet, old, standbys)
    same = [n for n in standbys if n.more["replid"] == history] or standbys
    most = max(n.position or 0 for n in same)
    best = [n for n in same if (n.position or 0) == most]
    chosen = max(best, key=lambda n: _worth(n, rules))
    new = seen.node(wanted) if wanted is not None else chosen
    if rules.sentinels and new.more["settings"].get("replica-priority") == "0":
        sheet.judge("priority", f"{new.name} has replica-priority 0: no sentinel would choose it; "
                    "CONFIG SET replica-priority 100 there")  # fmt: skip
    if new.more["replid"] != chosen.more["replid"]:
        bad = f"{new.name} has another history than {chosen.name}; take {chosen.name}"
        sheet.judge("history", "" if sheet.wish.accept_data_loss else bad)
    elif new.name != chosen.name and (new.position or 0) < most:
        short = most - (new.position or 0)
        bad = f"{chosen.name} has {short} bytes more than {new.name}; take it, or "
        bad = "" if sheet.wish.accept_data_loss else f"{bad}--accept-data-loss REASON"
        sheet.judge("behind", bad, bytes=short)
    else:
        sheet.judge("choice", "", f"{new.name} has the most",
                    **{n.name: n.position for n in same})  # fmt: skip
    return new


def _worth(node: NodeSeen, rules: Rules) -> tuple[object, ...]:
    never = rules.sentinels and node.more["settings"].get("replica-priority") == "0"
    return (not never, rules.priority.get(node.name, 0), -rules.nodes.index(node.name))


def _history(sheet: Sheet, old: str, standbys: Sequence[NodeSeen]) -> str:
    """The replication id of the primary that was; by what was remembered, or by most."""
    remembered = sheet.seen.more["remembered"]
    ids = [str(n.more["replid"]) for n in standbys]
    if remembered.get("primary") == old and remembered.get("replid") in ids:
        return str(remembered["replid"])
    follows = [str(n.more["replid"]) for n in standbys if n.more["follows"] == old]
    return max(follows or ids, key=(follows or ids).count)


def _may_lose(sheet: Sheet, old: str, new: NodeSeen) -> Loss | None:
    seen, rules = sheet.seen, sheet.rules
    others = [n for n in seen.standbys() if n.name != old and is_whole(n)]
    whole = [n.name for n in others if n.more["replid"] == new.more["replid"]]
    replicas = len(rules.nodes) - 1
    best = max((seen.node(name).position or 0 for name in whole), default=0)
    if enough(whole, replicas, rules.wait) and (new.position or 0) >= best:
        sheet.judge("data-loss", "", f"every write that waited for {rules.wait} replicas is on one "
                    f"of {', '.join(whole)}, and {new.name} has the most", whole=whole)  # fmt: skip
        return None
    loss = _bound(seen, old, new)
    if rules.wait:
        needs = max(1, replicas - rules.wait + 1)
        why = (f"{needs} of {replicas} replicas must be here that lost nothing, and "
               f"{', '.join(whole) or 'none'} are")  # fmt: skip
    else:
        why = "Redis acknowledges a write before a replica has it, and no wait: is declared"
    shown = "" if loss.bytes is None else f"; at the last look {loss.bytes} bytes were missing"
    bad = f"acknowledged writes may be missing on {new.name} ({why}{shown}); "
    bad += f"bring {old or 'the primary'} back, or --accept-data-loss REASON"
    if sheet.wish.accept_data_loss:
        sheet.warn("data-loss", f"accepted: {sheet.wish.accept_data_loss} ({why}{shown})")
    else:
        sheet.judge("data-loss", bad, bytes=loss.bytes, seconds=loss.seconds, whole=whole)
    return loss


def _bound(seen: Snapshot, old: str, new: NodeSeen) -> Loss:
    """Bytes by the last look at the old primary; seconds since the new one heard of it."""
    remembered, size = seen.more["remembered"], None
    if remembered.get("primary") == old and remembered.get("replid") == new.more["replid"]:
        size = max(0, int(remembered.get("position") or 0) - (new.position or 0))
    silent = new.more["silent"] if new.more["link"] else new.more["down"]
    return Loss(size or None, float(silent) + 1.0 if silent >= 0 else None)


def _facts(sheet: Sheet, old: str, new: NodeSeen) -> dict[str, Any]:
    seen = sheet.seen
    siblings = [n.name for n in seen.standbys() if n.name not in (old, new.name)]
    return {
        "siblings": siblings,
        "priorities": priorities(sheet, new.name, siblings),
        "replid": new.more["replid"],
        "reason": sheet.wish.accept_data_loss,
        "wait": sheet.rules.wait,
        "replicas": len(sheet.rules.nodes) - 1,
        "runids": {n.name: n.more["runid"] for n in seen.nodes if n.reachable},
    }
