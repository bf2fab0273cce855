"""Which backups may go under a policy? Every answer carries all of its reasons.

Slots are filled by verified backups alone: whoever can push backups (a taken host, a broken job)
cannot push the good ones out. `within` keeps any backup, counted back from the newest one, so that
a history whose backups have stopped does not melt away. No backup goes while one that builds on it
stays, and none stays that has lost what it builds on, unless a rule of its own keeps it.
"""

from __future__ import annotations

from collections.abc import Iterator

from sre.backup.retention.guards import LARGE_SHARE, blocking
from sre.backup.retention.records import Candidate, Decision, History, Plan, Reason, Situation
from sre.backup.retention.slots import fill_slots
from sre.backup.tier import Keep
from sre.core.units import format_duration

__all__ = ["decide"]

Reasons = dict[str, list[Reason]]


def decide(history: History, keep: Keep | None, situation: Situation) -> Plan:
    """What becomes of every backup of a database; `keep` None is a tier without a policy."""
    kept: Reasons = {}
    for id_, reason in _kept(history, keep, situation):
        kept.setdefault(id_, []).append(reason)
    _keep_parents(history, kept, "builds on it")
    retained = {
        each.id: [Reason("locked", each.locked)]
        for each in history.backups
        if each.locked and each.id not in kept
    }
    below = dict(retained)
    _keep_parents(history, below, "is locked and builds on it")
    kept |= {id_: reasons for id_, reasons in below.items() if id_ not in {*kept, *retained}}
    decisions = tuple(_decision(each, history, kept, retained, keep) for each in history.backups)
    gone = sum(each.action == "delete" for each in decisions)
    large = gone > LARGE_SHARE * len(decisions)
    return Plan(decisions, tuple(blocking(history, situation)) if keep else (), large)


def _kept(
    history: History, keep: Keep | None, situation: Situation
) -> Iterator[tuple[str, Reason]]:
    for backup in history.backups:
        for reason in _whatever_the_policy(backup, history, keep, situation):
            yield backup.id, reason
    verified = history.verified
    if keep is None or not verified:
        return
    yield verified[-1].id, Reason("newest-verified", "the newest verified backup")
    yield from _last_fulls(history, keep.min_verified_fulls)
    yield from fill_slots(keep, verified)
    yield from _within(history, keep, situation)


def _whatever_the_policy(
    backup: Candidate, history: History, keep: Keep | None, situation: Situation
) -> Iterator[Reason]:
    if backup.hold is not None:
        yield Reason("held", f"held: {backup.hold}")
    if keep is None:
        yield Reason("no-policy", "the tier says nothing under keep:")
    elif not history.verified:
        yield Reason("none-verified", _none_verified(situation.level))
    elif backup.committed > history.verified[-1].committed:
        yield Reason("not-yet", "newer than the newest verified backup")


def _within(history: History, keep: Keep, situation: Situation) -> Iterator[tuple[str, Reason]]:
    if keep.within is None:
        return
    newest = min(situation.now, history.backups[-1].committed)
    span = format_duration(float(keep.within))
    for backup in history.backups:
        if backup.committed >= newest - float(keep.within):
            yield backup.id, Reason("within", f"within {span} of the newest")


def _none_verified(level: int) -> str:
    return f"no backup here has passed a verification of level {level}; nothing may go before"


def _last_fulls(history: History, wanted: int) -> Iterator[tuple[str, Reason]]:
    """Of the newest full backups that are proven, the shortest proven chain of each."""
    shortest: dict[str, tuple[int, Candidate]] = {}
    for each in history.verified:
        chain = history.chain(each) or ()
        length, root = len(chain), chain[-1].id
        if root not in shortest or length <= shortest[root][0]:
            shortest[root] = (length, each)
    roots = [each for each in history.backups if each.id in shortest]
    for number, full in enumerate(reversed(roots[-wanted:]), start=1):
        backup = shortest[full.id][1]
        yield backup.id, Reason("min-verified-fulls", f"verified full {number} of {wanted}")


def _keep_parents(history: History, kept: Reasons, why: str) -> None:
    for id_ in list(kept):
        for parent in history.ancestors(history.by_id[id_]):
            reasons = kept.setdefault(parent.id, [])
            if not any(each.code == "parent" for each in reasons):
                reasons.append(Reason("parent", f"{id_} {why}"))


def _decision(
    backup: Candidate, history: History, kept: Reasons, retained: Reasons, keep: Keep | None
) -> Decision:
    if backup.id in kept:
        return Decision(backup, "keep", tuple(kept[backup.id]))
    why = _why_not(backup, history, keep)
    if backup.id in retained:
        return Decision(backup, "retained", (*retained[backup.id], why))
    return Decision(backup, "delete", (why,))


def _why_not(backup: Candidate, history: History, keep: Keep | None) -> Reason:
    span = "" if keep is None or keep.within is None else " and is older than keep.within"
    if history.chain(backup) is None:
        return Reason("broken", "what it builds on is gone: it cannot be restored")
    if backup.lost:
        return Reason("lost", f"{backup.lost}{span}: it fills no slot")
    if backup.failed is not None and backup.verified is None:
        return Reason("failed", f"failed its verification{span}: it fills no slot")
    if not history.restorable(backup):
        return Reason("unverified", f"was never verified deeply enough{span}: it fills no slot")
    return Reason("policy", f"no slot is left for it{span.replace(' and is', ', and it is')}")
