"""Is the primary gone for certain, who has the most, and what may be lost? (pure)

Never from one place alone: somebody beside us must see it dead, and nobody may see it alive.
Every blocker says the way out, for a failover may not be impossible for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sre.core.units import format_duration
from sre.failover.clusters.common.gone import fenceable, is_gone
from sre.failover.clusters.pg.quorum import missing_words, needed
from sre.failover.clusters.pg.seen import old_primary
from sre.failover.clusters.pg.sheet import (
    Rules,
    Sheet,
    names_after,
    overrides,
    rule_of,
    slots_used,
)
from sre.failover.engine import Decision, Loss, Wish
from sre.failover.snapshot import NodeSeen, Snapshot

__all__ = ["decide_failover", "most_advanced", "shortfall"]

_OLD_RULE = 10.0


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
    sheet.one_system()
    _switches(sheet)
    new = _candidate(sheet)
    facts: dict[str, Any] = {}
    loss = None
    if new is not None:
        loss, quorum = _may_lose(sheet, old, new)
        sheet.room(new)
        facts = {**_facts(sheet, old, new), "quorum": quorum, "reason": wish.accept_data_loss}
    return Decision(
        "failover", seen.cluster, old, new.name if new else "", tuple(sheet.blockers),
        tuple(sheet.passed), tuple(sheet.warnings), loss, facts,
    )  # fmt: skip


def _switches(sheet: Sheet) -> None:
    """A switch that does not answer cannot be repointed; one that differs is set right anyway."""
    silent = {
        name: problems
        for name, problems in sheet.seen.more["switches"].items()
        if any(each.startswith("unreachable: ") for each in problems)
    }
    bad = "; ".join(f"{name}: {'; '.join(problems)}" for name, problems in silent.items())
    sheet.judge("traffic", bad and f"{bad}; mend it, or take it out of traffic:",
                "every switch answers")  # fmt: skip


def most_advanced(nodes: Sequence[NodeSeen]) -> tuple[NodeSeen, ...]:
    """Those who have the most: on the newest timeline, then at the furthest position."""
    known = [each for each in nodes if each.position is not None]
    if not known:
        return ()
    best = max((each.timeline, each.position or 0) for each in known)
    return tuple(each for each in known if (each.timeline, each.position or 0) == best)


def _candidate(sheet: Sheet) -> NodeSeen | None:
    seen, wanted, rules = sheet.seen, sheet.wish.to, sheet.rules
    standbys = seen.standbys()
    best = most_advanced(standbys)
    if not best:
        sheet.judge("no-standby", "no standby answers; bring one back, or restore from a backup")
        return None
    if wanted is not None and wanted not in {each.name for each in standbys}:
        if wanted in rules.nodes:
            sheet.judge("no-standby", f"{wanted} is no standby that answers")
        return None
    whole = [each for each in best if not each.more["paused"]] or list(best)
    chosen = max(whole, key=lambda n: (rules.priority.get(n.name, 0), -rules.nodes.index(n.name)))
    new = seen.node(wanted) if wanted is not None else chosen
    bad = (
        f"the replay on {new.name} is paused; select pg_wal_replay_resume() there, or name another"
    )
    sheet.judge("replay-paused", bad if new.more["paused"] else "", f"{new.name} replays")
    if new.timeline < best[0].timeline:
        sheet.judge("timeline", f"{new.name} is on timeline {new.timeline}, {best[0].name} on "
                    f"{best[0].timeline}; take {best[0].name}")  # fmt: skip
    elif (short := shortfall(new, best)) and not sheet.wish.accept_data_loss:
        sheet.judge("behind", f"{best[0].name} has {short} bytes more than {new.name}; take it, or "
                    "--accept-data-loss REASON", bytes=short)  # fmt: skip
    else:
        sheet.judge("choice", "", f"{new.name} has the most, on timeline {new.timeline}",
                    **{each.name: each.position for each in standbys})  # fmt: skip
    return new


def shortfall(new: NodeSeen, best: Sequence[NodeSeen]) -> int:
    """How many bytes the furthest one has more."""
    return max(0, (best[0].position or 0) - (new.position or 0)) if best else 0


def _may_lose(sheet: Sheet, old: str, new: NodeSeen) -> tuple[Loss | None, dict[str, Any]]:
    seen, rules = sheet.seen, sheet.rules
    names, commit, source = _rule(sheet, old, new)
    others = [each for each in rules.nodes if each != old]
    extra = [str(each) for each in seen.more["remembered"].get("counting", ())]
    try:
        needs, members = needed(rule_of(names, commit), old, others, extra)
    except ValueError:
        needs, members = 0, frozenset()
    there = {n.name.lower() for n in seen.standbys() if n.timeline == new.timeline}
    have = sorted(members & there)
    short = shortfall(new, most_advanced(seen.standbys()))
    evidence: dict[str, Any] = {"rule": names, "known_from": source, "needs": needs, "have": have}
    safe = bool(needs) and len(have) >= needs and not short and new.name.lower() in there
    quorum = {"needs": needs, "members": sorted(members)}
    if safe:
        text = f"{len(have)} members of {names!r} are seen, {needs} are enough: nothing is lost"
        sheet.judge("quorum", "", text, **evidence)
        _rule_age(sheet, old)
        return None, quorum
    loss = _bound(seen, new)
    if sheet.wish.accept_data_loss:
        sheet.warn("data-loss", f"accepted: {sheet.wish.accept_data_loss}", **evidence)
        return loss, quorum
    out = "bring them back, or --accept-data-loss REASON"
    if needs:
        lacking = missing_words(needs, members, dict.fromkeys(have))
        sheet.judge("quorum", f"acknowledged writes may be missing ({names}): {lacking}; {out}"
                    if len(have) < needs else "", **evidence)  # fmt: skip
    else:
        why = f"commits waited for no standby ({source})"
        sheet.judge("data-loss", f"{why}: acknowledged writes may be lost; go on with "
                    "--accept-data-loss REASON", **evidence)  # fmt: skip
    return loss, quorum


def _rule_age(sheet: Sheet, old: str) -> None:
    """Who changed the rule after the last look at the primary, did it unseen."""
    age = sheet.seen.at - float(sheet.seen.more["remembered"].get("at", sheet.seen.at))
    if age > _OLD_RULE:
        sheet.warn(
            "rule-age",
            f"{old} was last looked at {format_duration(round(age))} before now: if its "
            "synchronous_standby_names was changed since, acknowledged writes may be missing; "
            "keep `sre failover watch` running",
            seconds=round(age, 1),
        )


def _rule(sheet: Sheet, old: str, new: NodeSeen) -> tuple[str, str, str]:
    """The last known rule of the old primary, its synchronous_commit, and from where."""
    remembered = sheet.seen.more["remembered"]
    if remembered.get("primary") == old and old:
        names = str(remembered["names"])
        return names, str(remembered["commit"]), "the old primary, when it was last seen"
    settings = new.more["settings"]
    names, commit = settings["synchronous_standby_names"] or "", settings["synchronous_commit"]
    return names, commit, f"the configuration of {new.name}; the old primary was never looked at"


def _bound(seen: Snapshot, new: NodeSeen) -> Loss:
    remembered = seen.more["remembered"]
    size = None
    if remembered.get("position") is not None and remembered.get("timeline") == new.timeline:
        size = max(0, int(remembered["position"]) - (new.position or 0))
    last = new.more.get("replay_at")
    if last is None and size == 0:  # it has all that there was when the old one was last seen
        last = remembered.get("at")
    return Loss(size or None, max(0.0, seen.at - float(last)) if last is not None else None)


def _facts(sheet: Sheet, old: str, new: NodeSeen) -> dict[str, Any]:
    seen = sheet.seen
    siblings = [n.name for n in seen.standbys() if n.name != new.name
                and (n.timeline, n.position or 0) <= (new.timeline, new.position or 0)]  # fmt: skip
    gone = [n.name for n in seen.nodes if n.name not in (new.name, *siblings)]
    remembered = seen.more["remembered"]
    truth = str(remembered.get("names", "")) if remembered.get("primary") == old else ""
    try:
        names = names_after(seen, sheet.rules, old, new.name, truth)
    except ValueError as error:
        sheet.warn("synchronous", str(error))
        names = rule_of("", "off")
    paused = [n for n in siblings if seen.node(n).more["paused"]]
    for name in paused:
        sheet.warn("replay-paused", f"the replay on {name} is paused: it cannot follow {new.name} "
                   "until select pg_wal_replay_resume() there")  # fmt: skip
    counts = [n for n in siblings if names.has(n) or names.everybody]
    able = [n for n in counts if n not in paused]
    if names.count > len(able):
        text = f"{names.text()!r} cannot be kept with {len(able)} standbys"
        sheet.warn("unprotected", f"{text}: commits wait for nobody until sre failover rejoin")
    both = [new.name, *siblings]
    sheet.retry(both)
    return {
        "siblings": siblings, "gone": gone,
        "names": "" if names.count > len(able) else names.text(), "wanted": names.text(),
        "names_before": overrides(seen, [new.name], "synchronous_standby_names"),
        "retry": overrides(seen, both, "wal_retrieve_retry_interval"),
        "slots": slots_used(seen), "timeline": new.timeline, "system": new.more["system"],
    }  # fmt: skip
