"""Has Patroni not done it itself, who may take over, and what may be lost? (pure)

Patroni fails over by itself. This is for what it leaves undone: it is paused, no standby is one
that it would take, or PostgreSQL on its leader does not come up again.
"""

from __future__ import annotations

from typing import Any

from sre.failover.clusters.pat.decide import able, synchronous_mode, worth
from sre.failover.clusters.pat.sheet import Rules, Sheet
from sre.failover.engine import Decision, Loss, Wish
from sre.failover.snapshot import NodeSeen, Snapshot

__all__ = ["decide_failover"]


def decide_failover(wish: Wish, seen: Snapshot, rules: Rules) -> Decision:
    """Whether, from whom, to whom; with the bound of what may be lost."""
    sheet = Sheet(wish, seen, rules)
    sheet.known(wish.to)
    old = _old_leader(seen, rules)
    gone = _is_gone(sheet, old)
    if wish.recent:
        sheet.judge("recent", f"the last failover was {wish.recent}; look first, then: "
                    f"sre failover ack {seen.cluster}")  # fmt: skip
    sheet.whole()
    fence = _fenceable(sheet, old) if gone else ""
    new = None if seen.primaries() else _candidate(sheet, old)
    facts: dict[str, Any] = {}
    loss = None
    if new is not None:
        able(sheet, new)
        loss = _may_lose(sheet, new)
        facts = {
            "timeline": new.timeline, "system": new.more["system"], "fence": fence,
            "synchronous": synchronous_mode(sheet), "reason": wish.accept_data_loss,
            **sheet.roads(new.name),
        }  # fmt: skip
    return sheet.decision("failover", old, new.name if new else "", loss, facts)


def _old_leader(seen: Snapshot, rules: Rules) -> str:
    """Who may still take writes: whoever says so, held the key, or led when it was last seen.

    Where nobody knows, it is the one that does not answer; with several of them nobody can tell.
    """
    strays = [n.name for n in seen.nodes if (n.more["sql"] or {}).get("recovering") is False]
    known = [*strays, str(seen.more["leader"]), str(seen.more["remembered"].get("leader", ""))]
    silent = [each.name for each in seen.nodes if not each.reachable]
    found = next((name for name in known if name in rules.members), "")
    return found or (silent[0] if len(silent) == 1 else "")


def _is_gone(sheet: Sheet, old: str) -> bool:
    seen, cluster = sheet.seen, sheet.seen.cluster
    primaries = [each.name for each in seen.primaries()]
    if primaries:
        return sheet.judge(
            "primary-alive",
            f"{', '.join(primaries)} answers as primary; change it by "
            f"sre failover switchover {cluster}, or, if it must go: "
            f"sre failover fence {cluster} {primaries[0]}",
        )
    if not any(each.reachable for each in seen.nodes):
        return sheet.judge("no-standby", "no Patroni answers: there is nobody who could be asked")
    node = seen.node(old)
    if seen.more["leader"] and not node.reachable:
        ttl = sheet.config.get("ttl", 30)
        return sheet.judge("leader-key", f"{old} does not answer, but its leader's key has not run "
                           f"out yet; look again in at most {ttl} s")  # fmt: skip
    return _patience(sheet, old)


def _patience(sheet: Sheet, old: str) -> bool:
    """Patroni itself comes first; where it is paused, it will not."""
    seen, config = sheet.seen, sheet.config
    if seen.more["pause"] and not seen.more["leader"]:
        return sheet.judge("primary-alive", "", "nobody leads, and Patroni is paused")
    limit = float(config.get("ttl", 30)) + 2 * float(config.get("loop_wait", 10))
    since = seen.more["remembered"].get("leaderless")
    waited = max(0.0, seen.at - float(since)) if since is not None else 0.0
    bad = ""
    if waited < limit:
        bad = (
            f"Patroni has been without a leader that runs for {waited:.0f} s as far as we saw, and "
            f"may still find one itself; look again in {limit - waited:.0f} s"
        )
    good = f"{old or 'the leader'} is gone, and Patroni found no other within {waited:.0f} s"
    return sheet.judge("patroni-decides", bad, good, waited=round(waited, 1), limit=limit)


def _fenceable(sheet: Sheet, old: str) -> str:
    """Whom to fence first: a leader whose Patroni answers has stopped, or stops, by itself."""
    node = sheet.seen.node(old)
    silent = [each.name for each in sheet.seen.nodes if not each.reachable]
    if not old and silent:
        sheet.judge("fence", f"nobody can tell which of {', '.join(silent)} led; start their "
                    "Patronis, or fence them: sre failover fence "
                    f"{sheet.seen.cluster} NODE")  # fmt: skip
        return ""
    if not old or node.reachable:
        who = f"Patroni on {old} answers, and keeps it from writing" if old else "nobody led"
        sheet.judge("fence", "", who)
        return ""
    life = node.more.get("life")
    if life == "dead" and old not in sheet.rules.stops:
        sheet.judge("fence", "", f"PostgreSQL on {old} is dead; a Patroni that comes back there "
                    "makes it primary with the leader's key alone")  # fmt: skip
        return ""
    if life == "dead":
        sheet.judge("fence", "", f"PostgreSQL on {old} is dead; its Patroni will be ended as well")
    elif old in sheet.rules.stops and life in ("alive", "frozen"):
        sheet.judge("fence", "", f"{old} can be fenced through its control ({life})")
    elif old in sheet.rules.fences:
        sheet.judge("fence", "", f"the fence program of {old} cuts it off")
    else:
        sheet.judge("fence", f"nobody can tell that {old} takes no writes: its Patroni does not "
                    f"answer; declare `fence:` for {old}, or data_dir: and stop: and a control "
                    "that reaches it")  # fmt: skip
    return old


def _candidate(sheet: Sheet, old: str) -> NodeSeen | None:
    seen, wanted = sheet.seen, sheet.wish.to
    standbys = [each for each in seen.standbys() if each.name != old]
    if not standbys:
        sheet.judge("no-standby", "no standby answers; bring one back, or restore from a backup")
        return None
    timeline = max(each.timeline for each in standbys)
    ahead = max(each.position or 0 for each in standbys if each.timeline == timeline)
    if wanted is not None and wanted not in {each.name for each in standbys}:
        if wanted in sheet.rules.members:
            sheet.judge("no-standby", f"{wanted} is no standby that answers")
        return None
    best = max(standbys, key=lambda n: (*worth(n, sheet, timeline)[:3], n.position or 0,
                                        *worth(n, sheet, timeline)[3:]))  # fmt: skip
    new = seen.node(wanted) if wanted is not None else best
    if new.timeline < timeline:
        sheet.judge("timeline", f"{new.name} is on timeline {new.timeline}, others on {timeline}; "
                    "take another")  # fmt: skip
    short = ahead - (new.position or 0)
    if synchronous_mode(sheet) and new.synchronous:
        short = 0  # what others have more was never acknowledged
    bad = f"another standby has {short} bytes more than {new.name}; take it"
    accepted = sheet.wish.accept_data_loss
    sheet.judge("behind", f"{bad}, or --accept-data-loss REASON" if short > 0 and not accepted
                else "", f"{new.name} has the most", bytes=short)  # fmt: skip
    return new


def _may_lose(sheet: Sheet, new: NodeSeen) -> Loss | None:
    """In synchronous mode nothing, when it is one that commits waited for; else who knows."""
    seen = sheet.seen
    sync = [each.name for each in seen.nodes if each.synchronous]
    quorum = sheet.config.get("synchronous_mode") == "quorum"
    evidence: dict[str, Any] = {
        "synchronous_mode": sheet.config.get("synchronous_mode"),
        "synchronous": sync,
    }
    safe = synchronous_mode(sheet) and new.synchronous and (not quorum or _quorum(sheet, new))
    if safe:
        sheet.judge("data-loss", "", f"{new.name} is one that commits waited for: nothing is lost",
                    **evidence)  # fmt: skip
        return None
    before = seen.more["remembered"]
    size = None
    if isinstance(before.get("position"), int) and before.get("timeline") == new.timeline:
        size = max(0, before["position"] - (new.position or 0)) or None
    last = new.more["replayed_at"]
    loss = Loss(size, max(0.0, seen.at - last) if last is not None else None)
    if sheet.wish.accept_data_loss:
        sheet.warn("data-loss", f"accepted: {sheet.wish.accept_data_loss}", **evidence)
        return loss
    why = f"{new.name} is none of those that commits waited for ({', '.join(sync) or 'nobody'})"
    why = why if synchronous_mode(sheet) else "commits waited for no standby"
    why = f"not enough synchronous standbys answer to be sure of {new.name}" if quorum else why
    sheet.judge("data-loss", f"{why}: acknowledged writes may be lost; go on with "
                "--accept-data-loss REASON", **evidence)  # fmt: skip
    return loss


def _quorum(sheet: Sheet, new: NodeSeen) -> bool:
    """Of N of which k acknowledge, whoever has the most of N-k+1 has everything."""
    members = [each for each in sheet.seen.nodes if _counts(each)]
    there = [each for each in members if each.reachable and each.timeline == new.timeline]
    count = sheet.config.get("synchronous_node_count", 1)
    needs = len(members) - (count if isinstance(count, int) else 1) + 1
    most = max((each.position or 0 for each in there), default=0)
    return len(there) >= needs and (new.position or 0) >= most


def _counts(node: NodeSeen) -> bool:
    return node.more.get("row", {}).get("role") in ("sync_standby", "quorum_standby")
