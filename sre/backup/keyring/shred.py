"""How is one backup made unreadable for ever, wherever its bytes still lie? (erasure law)

    nothing holds or locks it ─► signed mark ─► every form of its key, with all versions

Without its key the volumes are noise. What builds on it is noise too, so children go first, and
only when it was said. Interrupted after the mark, nothing opens the backup any more, and the same
command finishes. The mark stays and says when and why.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from sre.backup.audit.doing import audited
from sre.backup.condition import condition_of, shredded_mark
from sre.backup.fence import guarding
from sre.backup.job import Job
from sre.backup.keyring.choice import stores_of
from sre.backup.keyring.names import family
from sre.backup.keys import keys_ready
from sre.backup.lease import Lease
from sre.backup.manifest import Manifest
from sre.backup.model import Declared
from sre.backup.pruning.locking import describe
from sre.backup.pruning.marks import hold_of
from sre.backup.records import Fault
from sre.backup.upkeep import Guarded
from sre.core.errors import Refused, Transient, UsageError

__all__ = ["Doomed", "Shredded", "Where", "plan_shred", "shred"]

Where = Literal["reachable", "everywhere", "here"]


@dataclass(frozen=True)
class Doomed:
    """What is to be shredded in one store, children before what they build on."""

    job: Job
    declared: Declared
    manifests: tuple[Manifest, ...]

    @property
    def store(self) -> str:
        return self.declared.store_name

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(each.id for each in self.manifests)


@dataclass(frozen=True)
class Shredded:
    """What was done.

    Attributes:
        done: ids by store.
        elsewhere: copies in other stores that still open, or may, by store.
        keys: how many objects went.
    """

    done: Mapping[str, tuple[str, ...]]
    elsewhere: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    keys: int = 0


def plan_shred(
    job: Job, ids: Sequence[str], *, children: bool = False, where: Where = "reachable"
) -> list[Doomed]:
    """What would go, in every store where it would; touches nothing.

    `where`: in the database's own store and those of its copies that answer; or `everywhere`, all
    of which must answer; or `here`, its own store alone.

    Raises:
        UsageError: no such backup.
        Refused: something else builds on it, or it is held or locked; says until when.
        Transient: a store does not answer.
    """
    plans: list[Doomed] = []
    for name in sorted(job.backups.databases):
        for at in stores_of(job, job.declared(name), everywhere=where != "here"):
            try:
                doomed = _in_store(at, name, set(ids), children=children)
            except (Transient, UsageError):
                if where == "everywhere" or _is_own(job, at, name):
                    raise
                continue  # it is said in the end that its copy is still there
            if doomed.manifests:
                plans.append(doomed)
    found = {id_ for each in plans for id_ in each.ids}
    for lost in [each for each in ids if each not in found]:
        raise UsageError(f"there is no backup {lost!r} that counts; see: sre backup list")
    for each in plans:
        _must_be_free(each)
    return plans


def _is_own(job: Job, at: Job, name: str) -> bool:
    return at.declared(name).store_name == job.declared(name).store_name


def _in_store(job: Job, name: str, ids: set[str], *, children: bool) -> Doomed:
    declared = job.declared(name)
    catalogue = job.catalogue(declared)
    manifests: dict[str, Manifest] = {}
    faults: list[Fault] = []
    for each in catalogue.listed([name]):
        if isinstance(each, Fault):
            faults.append(each)
        else:
            manifests[each.id] = each
    wanted = {id_ for id_ in ids if id_ in manifests}
    below = _descendants(wanted, manifests)
    storage, trusted = catalogue.storage, job.backups.keys.trusted
    live = sorted(
        id_ for id_ in below - wanted
        if (found := condition_of(storage, trusted, manifests[id_].where, "shredded")) is None
        or found.kind != "shredded"
    )  # fmt: skip
    if live and not children:
        raise Refused(
            f"{live[0]}{_and_more(live)} builds on what is to be shredded and would open no more; "
            "shred it too with --with-children, or keep both; nothing was touched"
        )
    _no_unreadable_child(wanted, faults)
    doomed = [manifests[id_] for id_ in wanted | below]
    doomed.sort(key=lambda each: (-_depth(each, manifests), each.id))
    return Doomed(job, declared, tuple(doomed))


def _no_unreadable_child(wanted: set[str], faults: Sequence[Fault]) -> None:
    """A manifest that does not count may build on it: nobody can tell."""
    for fault in faults:
        if wanted and "-full-" not in fault.object and fault.object.endswith("manifest.json"):
            raise Refused(
                f"{fault.object} does not count, and nobody can tell what it builds on; verify it "
                "first, or remove it by hand if it is forged; nothing was touched"
            )


def _descendants(wanted: set[str], manifests: Mapping[str, Manifest]) -> set[str]:
    found = set(wanted)
    while True:
        more = {each.id for each in manifests.values() if each.parent in found} - found
        if not more:
            return found - wanted
        found |= more


def _depth(manifest: Manifest, manifests: Mapping[str, Manifest]) -> int:
    seen: set[str] = set()
    link: Manifest | None = manifest
    while link is not None and link.id not in seen:
        seen.add(link.id)
        link = manifests.get(link.parent or "")
    return len(seen)


def _and_more(ids: Sequence[str]) -> str:
    return f" (and {len(ids) - 1} more)" if len(ids) > 1 else ""


def _must_be_free(doomed: Doomed) -> None:
    """Neither held by somebody nor locked by the store: before anything is touched."""
    storage, now = doomed.job.storage(doomed.declared), doomed.job.clock.wall()
    at = storage.time()
    for manifest in doomed.manifests:
        held = hold_of(storage, manifest.where)
        if held is not None:
            raise Refused(
                f"{manifest.id} in {doomed.store} is held by {held.by} since {held.at}: "
                f"{held.reason}; end that first with sre backup release; nothing was touched"
            )
        for each in storage.list(family(manifest.id)):
            state = storage.lock_of(each.key)
            if state.protects(now if at is None else at):
                raise Refused(
                    f"{each.key} in {doomed.store} is {describe(state)}: the store keeps it and "
                    "the backup opens until then; nothing was touched"
                )


def shred(
    job: Job,
    ids: Sequence[str],
    *,
    reason: str,
    children: bool = False,
    where: Where = "reachable",
) -> Shredded:
    """Destroy the keys of these backups; `where` as in `plan_shred`.

    A store of copies that refuses or falls silent meanwhile is in the result, unless `everywhere`.

    Raises:
        UsageError: no such backup, no reason, no key to sign the mark with.
        Refused: something else builds on it, or it is held or locked.
        Locked: a backup or retention runs at that database.
        Transient: a store does not answer; run it again.
    """
    if not reason.strip():
        raise UsageError("say why with --reason: it is all that will be left to be read")
    keys_ready(job.backups.keys)
    plans = plan_shred(job, ids, children=children, where=where)
    done: dict[str, tuple[str, ...]] = {}
    count = 0
    with contextlib.ExitStack() as stack:
        for name in dict.fromkeys(each.declared.name for each in plans):
            stack.enter_context(job.lock("shred", name))
        leases = [stack.enter_context(each.job.lease(each.declared, "shred")) for each in plans]
        for each, lease in zip(plans, leases, strict=True):
            _must_be_free(each)
            try:
                count += _all(each, lease, reason.strip())
            except (Transient, UsageError):
                if where == "everywhere" or _is_own(job, each.job, each.declared.name):
                    raise
                continue
            done[each.store] = (*done.get(each.store, ()), *each.ids)
    return Shredded(done, _copies(job, plans, done), count)


def _all(doomed: Doomed, lease: Lease, reason: str) -> int:
    """Everything in one store; how many objects went."""
    with audited(
        doomed.job, doomed.store, "keys-shred", *doomed.ids, f"reason: {reason}", fence=lease.fence
    ):
        return sum(_shred(doomed, each, lease, reason) for each in doomed.manifests)


def _shred(doomed: Doomed, manifest: Manifest, lease: Lease, reason: str) -> int:
    storage, keys = doomed.job.storage(doomed.declared), doomed.job.backups.keys
    lease.confirm()
    objects = [each.key for each in storage.list(family(manifest.id))]
    with guarding(lease.check):
        shredded_mark(
            storage, keys, manifest.where,
            at=doomed.job.clock.wall(), reason=reason, objects={manifest.key, *objects},
        )  # fmt: skip
        for key in sorted({manifest.key, *objects}):  # the first form too if a list left it out
            try:
                storage.delete(key)
            except Guarded as error:
                raise Refused(
                    f"{key} in {doomed.store} was locked meanwhile and is still there; the mark "
                    "stands: run it again when the lock has ended"
                ) from error
    doomed.job.note("backup shredded", id=manifest.id, store=doomed.store, reason=reason)
    return len(objects)


def _copies(
    job: Job, plans: Sequence[Doomed], done: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """Where the same backups still open, among the stores of their tier's copies."""
    found: dict[str, tuple[str, ...]] = {}
    for doomed in plans:
        for name in doomed.declared.tier.copies:
            asked = [each for each in doomed.ids if each not in done.get(name, ())]
            if name == job.declared(doomed.declared.name).store_name or not asked:
                continue
            try:
                storage = job.at(name).storage(job.at(name).declared(doomed.declared.name))
                left = [each for each in asked if any(True for _ in storage.list(family(each)))]
            except (Transient, UsageError):
                left = asked  # nobody knows: look at it again
            if left:
                found[name] = tuple(dict.fromkeys((*found.get(name, ()), *left)))
    return found
