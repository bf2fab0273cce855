"""Is the primary gone for certain, who has the most, and what may be lost? (pure)

Never from one place alone: somebody beside us must see it dead, and nobody may see it alive.
Nothing is lost for certain only where commits waited for a replica (semi-sync), could not have
ceased to wait since that was last seen, and every replica for which they waited is here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

from sre.failover.clusters.common.gone import doubts, fenceable, is_gone
from sre.failover.clusters.maria.decide_switchover import followers, may_be_primary
from sre.failover.clusters.maria.gtid import covers, missing, text_of
from sre.failover.clusters.maria.seen import old_primary, received
from sre.failover.clusters.maria.sheet import Rules, Sheet, semi_sync_after
from sre.failover.engine import Decision, Loss, Wish
from sre.failover.snapshot import NodeSeen, Snapshot, View

__all__ = ["decide_failover", "furthest", "why_unsafe"]


def decide_failover(wish: Wish, seen: Snapshot, rules: Rules) -> Decision:
    """Whether, from whom, to whom; with the bound of what may be lost."""
    sheet = Sheet(wish, seen, rules)
    sheet.known(wish.to)
    old = old_primary(seen)
    is_gone(sheet, old, partial(_doubts, sheet.nodes))
    fenceable(sheet, old)
    if wish.recent:
        sheet.judge("recent", f"the last failover was {wish.recent}; look first, then: "
                    f"sre failover ack {seen.cluster}")  # fmt: skip
    sheet.servers()
    _switches(sheet)
    new = _candidate(sheet)
    facts: dict[str, Any] = {}
    loss = None
    if new is not None:
        may_be_primary(sheet, new)
        loss, counting = _may_lose(sheet, old, new)
        sheet.room(new)
        sheet.rights(*seen.standbys())
        facts = {**_facts(sheet, old, new), "counting": counting, "reason": wish.accept_data_loss}
    return sheet.decision(old, new.name if new else "", facts, loss)


def _doubts(nodes: Collection[str], views: Sequence[View], out: str) -> str:
    """Two who stand beside us are not enough while a replica may still hear it."""
    bad = doubts(views, out)
    near = [v for v in views if v.sees == "dead" and v.by in {f"control:{v.of}", *nodes}]
    unsure = [v for v in views if v.sees == "unknown"]
    if bad or near or not any(view.by in nodes for view in unsure):
        return bad
    words = "; ".join(f"{view.by}: {view.why}" for view in unsure)
    return f"no replica and no control of {unsure[0].of} sees it dead ({words}){out}"


def _switches(sheet: Sheet) -> None:
    """A switch that does not answer cannot be repointed; one that differs is set right anyway."""
    silent = [
        f"{name}: {'; '.join(problems)}"
        for name, problems in sheet.seen.more["switches"].items()
        if any(each.startswith("unreachable: ") for each in problems)
    ]
    bad = f"{'; '.join(silent)}; mend it, or take it out of traffic:"
    sheet.judge("traffic", bad if silent else "", "every switch answers")


def furthest(nodes: Sequence[NodeSeen]) -> tuple[NodeSeen, ...]:
    """Those who have received everything that anybody has; none when they have parted ways."""
    all_of_them = [received(each.more) for each in nodes]
    return tuple(n for n in nodes if all(covers(received(n.more), other) for other in all_of_them))


def _candidate(sheet: Sheet) -> NodeSeen | None:
    seen, wanted, rules = sheet.seen, sheet.wish.to, sheet.rules
    standbys = [each for each in seen.standbys() if each.more["slave"]]
    if not standbys:
        sheet.judge("no-standby", "no replica answers; bring one back, or restore from a backup")
        return None
    if wanted is not None and wanted not in {each.name for each in standbys}:
        if wanted in rules.nodes:
            sheet.judge("no-standby", f"{wanted} is no replica that answers")
        return None
    best = furthest(standbys)
    positions = {each.name: text_of(received(each.more)) for each in standbys}
    if not best:
        listed = ", ".join(f"{name}: {at}" for name, at in positions.items())
        bad = f"no replica has everything that others have ({listed}); name one by --to NODE"
        bad += " with --accept-data-loss REASON"
        accepted = wanted is not None and sheet.wish.accept_data_loss
        sheet.judge("diverged", "" if accepted else bad, **positions)
    able = [n for n in best if n.more["slave"]["Slave_SQL_Running"] == "Yes"] or list(best)
    able = able or standbys
    able.sort(key=lambda n: (-rules.priority.get(n.name, 0), rules.nodes.index(n.name)))
    new = seen.node(wanted) if wanted is not None else able[0]
    _has_the_most(sheet, new, best, positions)
    return new


def _has_the_most(
    sheet: Sheet, new: NodeSeen, best: Sequence[NodeSeen], positions: dict[str, str]
) -> None:
    slave = new.more["slave"]
    said = f": {slave['Last_SQL_Error']}" if slave["Last_SQL_Error"] else ""
    bad = f"the SQL thread of {new.name} is stopped{said}; mend it, or name another by --to"
    sheet.judge("sql-stopped", bad if slave["Slave_SQL_Running"] != "Yes" else "",
                f"{new.name} executes")  # fmt: skip
    short = missing(received(new.more), received(best[0].more)) if best else 0
    if short and not sheet.wish.accept_data_loss:
        sheet.judge("behind", f"{best[0].name} has {short} transactions more than {new.name}; take "
                    "it, or --accept-data-loss REASON", transactions=short)  # fmt: skip
    elif best:
        sheet.judge("choice", "", f"{new.name} has {'the most' if not short else 'less'}",
                    **positions)  # fmt: skip


def why_unsafe(seen: Snapshot, old: str, new: NodeSeen) -> str:
    """Why acknowledged writes may be missing on `new`; empty: none is."""
    known = seen.more["remembered"]
    if not old or known.get("primary") != old:
        return "the old primary was never looked at, so nobody knows whether commits waited"
    age = max(0.0, seen.at - float(known["at"]))
    return _ceased(known, old, age) or _absent(seen, known, new, age)


def _ceased(known: Mapping[str, Any], old: str, age: float) -> str:
    """Why commits may have waited for nobody in the end."""
    settings = known["settings"]
    if settings.get("rpl_semi_sync_master_enabled") != "ON":
        return "commits waited for no replica (asynchronous replication)"
    if known["status"] != "ON":
        return "semi-sync had timed out: commits waited for no replica any more"
    if settings.get("rpl_semi_sync_master_wait_no_slave") == "OFF":
        return "with rpl_semi_sync_master_wait_no_slave = OFF commits may have ceased to wait"
    timeout = float(settings.get("rpl_semi_sync_master_timeout") or 0) / 1000
    if age + float(known.get("ack_wait") or 0) + 1 > timeout:
        return (
            f"{old} was last seen {age:.0f} s ago, and after {timeout:g} s without an answer "
            "commits wait no more (rpl_semi_sync_master_timeout)"
        )
    return ""


def _absent(seen: Snapshot, known: Mapping[str, Any], new: NodeSeen, age: float) -> str:
    """Why somebody for whom commits waited may have more. A replica that was started again since
    has lost what was in its relay log."""
    counting = list(known["counting"])
    if int(known["clients"]) > len(counting):
        return f"commits waited for {known['clients']} replicas, of which {len(counting)} are known"
    if not counting:
        return "when the old primary was last seen, no replica answered its commits"
    here = {n.name for n in seen.standbys() if float(n.more.get("uptime") or 0) >= age}
    absent = [name for name in counting if name not in here]
    if absent:
        return f"commits waited for any of {', '.join(counting)}; not here: {', '.join(absent)}"
    best = furthest([seen.node(name) for name in counting])
    if not best or missing(received(new.more), received(best[0].more)):
        return f"{new.name} has not everything that {', '.join(counting)} have"
    return ""


def _may_lose(sheet: Sheet, old: str, new: NodeSeen) -> tuple[Loss | None, list[str]]:
    known = sheet.seen.more["remembered"]
    counting = list(known.get("counting", ())) if known.get("primary") == old else []
    if not old:
        sheet.judge("semi-sync", "", "every node answers: nobody has more than can be seen")
        return None, []
    why = why_unsafe(sheet.seen, old, new)
    evidence = {"counting": counting, "status": known.get("status"), "seen_at": known.get("at")}
    if not why:
        text = f"commits waited for one of {', '.join(counting)}, and all are here"
        sheet.judge("semi-sync", "", text, **evidence)
        return None, counting
    loss = _bound(sheet.seen, old, new)
    if sheet.wish.accept_data_loss:
        sheet.warn("data-loss", f"{why}; accepted: {sheet.wish.accept_data_loss}", **evidence)
        return loss, []
    sheet.judge("data-loss", f"{why}: acknowledged writes may be lost; bring {old} or the missing "
                "replicas back, or go on with --accept-data-loss REASON", **evidence)  # fmt: skip
    return loss, counting


def _bound(seen: Snapshot, old: str, new: NodeSeen) -> Loss:
    """What was seen on the old primary and is not on the new; what came later nobody can tell."""
    known = seen.more["remembered"]
    if known.get("primary") != old:
        return Loss()
    short = max(0, int(known.get("position") or 0) - (new.position or 0))
    return Loss(writes=short or None, seconds=max(0.0, seen.at - float(known["at"])))


def _facts(sheet: Sheet, old: str, new: NodeSeen) -> dict[str, Any]:
    seen = sheet.seen
    mine = received(new.more)
    able = [n for n in followers(sheet, None, new) if n != old]
    siblings = able
    if sheet.wish.accept_data_loss:
        siblings = [n for n in able if covers(mine, received(seen.node(n).more))]
        for name in sorted(set(able) - set(siblings)):
            sheet.warn("left-behind", f"{name} has more than {new.name} and will not follow; "
                       f"afterwards: sre failover rejoin {seen.cluster} {name}")  # fmt: skip
    known = seen.more["remembered"] if seen.more["remembered"].get("primary") == old else {}
    semi = semi_sync_after(sheet.rules, known.get("settings", new.more), known.get("wanted", {}))
    acks = {n: seen.node(n).more["rpl_semi_sync_slave_enabled"] for n in siblings}
    if semi.get("rpl_semi_sync_master_enabled") == "ON" and "ON" not in acks.values():
        sheet.warn("unprotected", f"no replica is left that answers {new.name}: commits wait for "
                   "nobody until sre failover rejoin")  # fmt: skip
        semi = {**semi, "rpl_semi_sync_master_enabled": "OFF"}
    return {
        "siblings": siblings,
        "semi_sync": semi,
        "masters": {name: str(seen.node(name).more["rpl_semi_sync_master_enabled"])
                    for name in (new.name, *siblings)},
        "use_gtid": "slave_pos",
        "servers": {n.name: int(n.more["server_id"]) for n in seen.nodes if n.reachable},
    }  # fmt: skip
