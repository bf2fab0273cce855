"""What would `sre backup prune` delete, and how does it delete it?

Everything is read and decided for all databases before the first object goes. What a database's
guards stop does not hold up the others.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from sre.backup.audit.doing import audited
from sre.backup.fence import guarding
from sre.backup.job import Job
from sre.backup.lease import Lease
from sre.backup.manifest import Manifest
from sre.backup.pruning.epochs import EpochPlan, apply_epochs, plan_epochs
from sre.backup.pruning.erase import erase, finish
from sre.backup.pruning.facts import publish_retention
from sre.backup.pruning.locking import describe, extend_parents, locked
from sre.backup.pruning.logs import LogPlan, apply_logs, plan_logs
from sre.backup.pruning.survey import Survey, survey
from sre.backup.retention.records import Candidate, History, Plan, Reason
from sre.backup.retention.rules import decide
from sre.backup.upkeep import Guarded
from sre.core.errors import Refused

__all__ = ["Done", "Planned", "blocked", "plan_prune", "prune"]


@dataclass(frozen=True)
class Done:
    """What became of a plan."""

    deleted: tuple[str, ...] = ()
    kept: tuple[tuple[str, str], ...] = ()
    """Backups that were to go and stayed, with the reason."""
    finished: tuple[str, ...] = ()
    """Interrupted deletions that are complete now."""
    orphans: int = 0
    extended: tuple[str, ...] = ()
    freed_bytes: int = 0


@dataclass(frozen=True)
class Planned:
    """What is to become of one database's backups, and what did."""

    found: Survey
    plan: Plan
    done: Done | None = field(default=None)
    logs: tuple[LogPlan, ...] = ()
    keys: EpochPlan | None = None
    """Of the whole store: it stands in the first plan of each store that is not blocked."""

    @property
    def name(self) -> str:
        """The database."""
        return self.found.declared.name

    @property
    def doomed(self) -> tuple[Candidate, ...]:
        """What is to go, children before parents."""
        found = self.plan.those("delete")
        history = self.found.history
        return tuple(sorted(found, key=lambda b: len(history.ancestors(b)), reverse=True))


def plan_prune(job: Job, names: Sequence[str] = (), *, alone: bool = False) -> list[Planned]:
    """Read the stores and decide; touches nothing. No names: every declared database.

    Raises UsageError, Transient.
    """
    chosen = [job.declared(name) for name in names or sorted(job.backups.databases)]
    plans = [_planned(job, survey(job, each, alone=alone)) for each in chosen]
    return [
        dataclasses.replace(each, keys=_epochs(plans, each)) if first else each
        for each, first in _firsts(plans)
    ]


def prune(job: Job, names: Sequence[str] = (), *, confirmed: int | None = None) -> list[Planned]:
    """Delete what may go. What was stopped by a guard says so in its plan.

    Raises:
        Locked: a backup or another retention runs, here or elsewhere.
        UsageError, Transient: before anything was deleted, or between two backups: run it again.
        Refused: more than 30 % of a database's backups would go, and the number is not confirmed.
    """
    chosen = [job.declared(name) for name in names or sorted(job.backups.databases)]
    with contextlib.ExitStack() as stack:
        leases: dict[str, Lease] = {}
        for each in chosen:
            stack.enter_context(job.lock("prune", each.name))
            leases[each.name] = stack.enter_context(job.lease(each, "prune"))
        plans = plan_prune(job, [each.name for each in chosen], alone=True)
        _must_be_confirmed(plans, confirmed)
        done = [_recorded(job, each, leases[each.name]) for each in plans]
        done = [_logs(job, each, leases[each.name]) for each in done]
        done = [
            _keys(job, each, leases[each.name]) if first else each for each, first in _firsts(done)
        ]
        for planned in done:
            publish_retention(job, planned.found, planned.plan, deleted=_deleted(planned))
        return done


def _logs(job: Job, planned: Planned, lease: Lease) -> Planned:
    """Log that no kept backup needs; judged again by what was deleted in the end."""
    if planned.plan.blocked or not planned.logs:
        return planned
    lease.confirm()
    plans = plan_logs(job, planned.found, _deleted(planned))
    with guarding(lease.check):
        return dataclasses.replace(
            planned, logs=tuple(apply_logs(planned.found.catalogue.storage, plans))
        )


def _firsts(plans: Sequence[Planned]) -> Iterator[tuple[Planned, bool]]:
    """Each, and whether the log's keys of its store are judged with it."""
    seen = set[str]()
    for each in plans:
        store = each.found.declared.store_name
        yield each, store not in seen and not each.plan.blocked
        if not each.plan.blocked:
            seen.add(store)


def _epochs(plans: Sequence[Planned], one: Planned) -> EpochPlan:
    """Of the store of one plan, once all of these plans have been carried out."""
    store = one.found.declared.store_name
    logs = [
        log
        for each in plans
        if each.found.declared.store_name == store and not each.plan.blocked
        for log in each.logs
    ]
    gone = {key for log in logs for spent in log.spent for key in spent.keys}
    return plan_epochs(one.found.catalogue.storage, one.found.situation.now, gone)


def _keys(job: Job, planned: Planned, lease: Lease) -> Planned:
    """The log's keys that open nothing any more, by what is left in the store now."""
    storage = planned.found.catalogue.storage
    lease.confirm()
    at = storage.time()
    plan = plan_epochs(storage, job.clock.wall() if at is None else at)
    if plan.spent:
        store = planned.found.declared.store_name
        names = [each.name for each in plan.spent]
        with (
            audited(job, store, "prune-keys", *names, fence=lease.fence),
            guarding(lease.check),
        ):
            plan = apply_epochs(storage, plan)
        job.note("keys of the log deleted", keys=names, store=store)
    return dataclasses.replace(planned, keys=plan)


def _deleted(planned: Planned) -> frozenset[str]:
    return frozenset(planned.done.deleted if planned.done else ())


def _planned(job: Job, found: Survey) -> Planned:
    """Locks are asked only of what would go otherwise: that is a request for each object."""
    keep, storage = found.declared.tier.keep, found.catalogue.storage
    plan = decide(found.history, keep, found.situation)
    words: dict[str, str] = {}
    for each in plan.those("delete"):
        state = locked(storage, found.manifests[each.id], found.situation.now)
        if state is not None:
            words[each.id] = describe(state)
    if words:
        backups = [
            dataclasses.replace(each, locked=words.get(each.id, ""))
            for each in found.history.backups
        ]
        found = dataclasses.replace(found, history=History.of(backups))
        plan = decide(found.history, keep, found.situation)
    gone = () if plan.blocked else [each.id for each in plan.those("delete")]
    return Planned(found, plan, logs=tuple(plan_logs(job, found, gone)))


def _must_be_confirmed(plans: Sequence[Planned], confirmed: int | None) -> None:
    active = [each for each in plans if not each.plan.blocked]
    count = sum(len(each.plan.those("delete")) for each in active)
    large = [each for each in active if each.plan.large]
    if count and confirmed is not None and confirmed != count:
        raise Refused(
            f"{count} backups would be deleted, not {confirmed}; nothing was deleted: look at the "
            "plan (sre backup prune --dry-run)"
        )
    if large and confirmed is None:
        first = large[0]
        gone, of = len(first.plan.those("delete")), len(first.plan.decisions)
        raise Refused(
            f"{gone} of {of} backups of {first.name} would be deleted, more than 30 %; nothing was "
            f"deleted. If the plan is right (--dry-run shows it), add --confirm-count {count}"
        )


def _recorded(job: Job, planned: Planned, lease: Lease) -> Planned:
    """Apply it and put it into the audit log: what was meant to go, and what went."""
    declared = planned.found.declared
    meant = () if planned.plan.blocked else tuple(each.id for each in planned.doomed)
    with audited(
        job, declared.store_name, "prune", declared.name, *meant, fence=lease.fence
    ) as doing:
        applied = _apply(job, planned, lease)
        gone = applied.done.deleted if applied.done else ()
        doing.result = f"ok: deleted {' '.join(gone) or 'nothing'}"
    return applied


def _apply(job: Job, planned: Planned, lease: Lease) -> Planned:
    found, catalogue = planned.found, planned.found.catalogue
    with guarding(lease.check):
        finished = [
            each.id
            for each in found.rests
            if not finish(catalogue, each, found.others.get(each.id, ()))
        ]
        done = Done(finished=tuple(finished))
        if planned.plan.blocked:
            return dataclasses.replace(planned, done=done)
        extended = _extend(found, planned.plan)
        deleted, kept = _erase_all(job, planned, lease)
        for id_ in found.stale - set(deleted):
            if id_ not in dict(kept):
                catalogue.storage.delete(found.manifests[id_].where.mark("expiring"))
        orphans, freed = _clear(found)
    freed += sum(found.manifests[id_].stored_bytes for id_ in deleted)
    done = Done(tuple(deleted), tuple(kept), tuple(finished), orphans, extended, freed)
    return dataclasses.replace(planned, done=done)


def _erase_all(job: Job, planned: Planned, lease: Lease) -> tuple[list[str], list[tuple[str, str]]]:
    """Children first; what stays keeps what it builds on."""
    found, deleted, kept = planned.found, list[str](), list[tuple[str, str]]()
    spared: set[str] = set()
    for backup in planned.doomed:
        why = f"{backup.id} is needed" if backup.id in spared else ""
        if not why:
            manifest = found.manifests[backup.id]
            why = erase(found.catalogue, manifest, found.others.get(backup.id, ()), lease)
        if not why:
            deleted.append(backup.id)
            reasons = next(d.reasons for d in planned.plan.decisions if d.backup.id == backup.id)
            job.note("backup deleted", id=backup.id, why=[each.text for each in reasons])
        elif found.catalogue.storage.head(found.manifests[backup.id].where.manifest) is None:
            deleted.append(backup.id)  # its manifest is gone; what is left is locked
        else:
            kept.append((backup.id, why))
            spared |= {each.id for each in found.history.ancestors(backup)}
    return deleted, kept


def _extend(found: Survey, plan: Plan) -> tuple[str, ...]:
    """What is kept keeps what it builds on locked as long as itself."""
    if found.declared.tier.lock is None:
        return ()
    extended: list[str] = []
    for each in plan.those("keep"):
        parents = [found.manifests[parent.id] for parent in found.history.ancestors(each)]
        if parents:
            child: Manifest = found.manifests[each.id]
            extended += extend_parents(found.catalogue.storage, child, parents)
    return tuple(dict.fromkeys(extended))


def _clear(found: Survey) -> tuple[int, int]:
    """Remove the orphans that are old enough: how many, how many bytes."""
    storage, count, freed = found.catalogue.storage, 0, 0
    uploads = {each.id: each for each in storage.pending("v1/")}
    for orphan in found.orphans:
        if not orphan.delete:
            continue
        try:
            if orphan.what == "upload" and orphan.upload in uploads:
                storage.abandon(uploads[orphan.upload])
            elif orphan.what == "backup":
                for key in orphan.keys:
                    storage.delete(key)
        except Guarded:
            continue
        count, freed = count + 1, freed + orphan.bytes
    return count, freed


def blocked(plans: Sequence[Planned]) -> tuple[tuple[str, Reason], ...]:
    """(database, guard) wherever a guard stopped something."""
    return tuple(
        (each.name, reason)
        for each in plans
        for reason in each.plan.blocked
        if each.plan.those("delete")
    )
