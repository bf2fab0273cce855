"""What does `sre backup copy` do, and when is a backup in the second store?

It pulls: it runs where the second store is, reads from the first and writes, once, to the second,
each with credentials of its own. Nothing is deleted on either side. A backup is there when its
manifest is, which goes last; what it builds on goes before it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sre.backup.audit.doing import audited
from sre.backup.catalogue import Catalogue, Damaged
from sre.backup.condition import conditions
from sre.backup.copying.along import Along, bring_along
from sre.backup.copying.beside import copy_log, log_waiting
from sre.backup.copying.facts import publish_copy, publish_copy_failure
from sre.backup.copying.one import copy_backup, copy_keys, is_gone, signed_manifest
from sre.backup.copying.records import Copied, Passed
from sre.backup.copying.repository import ensure_repository
from sre.backup.copying.standing import (
    Wanted,
    lacking,
    lag_of,
    later_keys,
    objects_of,
    parents_first,
    spoiled,
)
from sre.backup.copying.transfer import Side
from sre.backup.fence import guarding
from sre.backup.job import Job
from sre.backup.keyring.names import family
from sre.backup.layout import database_of
from sre.backup.lease import Lease
from sre.backup.manifest import Manifest
from sre.backup.model import Declared
from sre.backup.objects import ObjectInfo
from sre.backup.pruning.locking import extend_parents, writing
from sre.backup.records import Fault
from sre.core.errors import SreError, UsageError

__all__ = ["copy_pass", "plan_copy", "targets_of"]

Progress = Callable[[int], None]


@dataclass
class _Pass:
    """One pass under way: both stores as they were listed, and what is still to come."""

    job: Job
    declared: Declared
    there: Declared
    source: Side
    target: Side
    catalogue: Catalogue
    here: dict[str, ObjectInfo] = field(default_factory=dict)
    keys: frozenset[str] = frozenset()
    shredded: frozenset[str] = frozenset()
    present: dict[str, int] = field(default_factory=dict)
    manifests: tuple[Manifest, ...] = ()
    faults: list[Fault] = field(default_factory=list)

    @property
    def trusted(self) -> tuple[str, ...]:
        return self.job.backups.keys.trusted

    def committed(self, manifest: Manifest) -> bool:
        return manifest.where.manifest in self.present

    def missing(self, manifest: Manifest) -> tuple[Wanted, ...]:
        return lacking(objects_of(manifest, self.keys), self.present)

    def whole(self, manifest: Manifest) -> bool:
        return self.committed(manifest) and not self.missing(manifest)


def targets_of(job: Job, names: Sequence[str], to: str | None) -> list[tuple[str, str]]:
    """(database, store) for each copy that is asked for; no names: every database with copies.

    Raises UsageError when there is nothing to copy, or not there.
    """
    chosen = [job.declared(name) for name in names or sorted(job.backups.databases)]
    if to is not None:
        job.at(to)
    found: list[tuple[str, str]] = []
    for each in chosen:
        stores = each.tier.copies if to is None else (to,)
        if names and not stores:
            raise UsageError(
                f"the tier of {each.name!r} has no copies: [STORE]; add it, or name one with --to"
            )
        if each.store_name in stores:
            raise UsageError(f"{each.name!r} stands in {each.store_name!r}: name another store")
        found += [(each.name, store) for store in stores]
    if not found:
        raise UsageError("no tier names copies: [STORE]: there is nothing to copy")
    return found


def plan_copy(job: Job, db: str, to: str) -> Passed:
    """What a pass would copy; reads both stores, writes nothing. Raises UsageError, Transient."""
    work = _look(job, db, to)
    waiting = []
    for manifest in work.manifests:
        state = "there" if work.whole(manifest) else "waiting"
        state = "shredded" if manifest.id in work.shredded else state
        size = sum(each.bytes for each in work.missing(manifest)) if state == "waiting" else 0
        waiting.append(Copied(manifest.id, manifest.kind, state, size))
    log = list(log_waiting(db, work.here, work.present))
    return dataclasses.replace(_result(work, waiting), log_objects=len(log), dry_run=True)


def copy_pass(
    job: Job, db: str, to: str, *, progress: Callable[[int], Progress] = lambda _n: lambda _c: None
) -> Passed:
    """Copy what the second store lacks of one database. `progress` is told the bytes to come.

    What is damaged is in the result, and is not at the target. Raises:
        Locked: another copy, or retention at the target, runs.
        Transient: a store does not answer; run it again, it goes on where it was.
        UsageError, Refused: credentials, buckets; the tier locks and the target cannot.
    """
    there = job.at(to)
    with job.lock("copy", db):
        try:
            with (
                Side(to, there.storage(there.declared(db))).named(),
                there.lease(there.declared(db), "copy") as lease,
                audited(there, to, "copy", db, fence=lease.fence) as doing,
                guarding(lease.check),
            ):
                found = _copy(_look(job, db, to), lease, progress)
                new = [each.id for each in found.backups if each.state in {"copied", "healed"}]
                doing.about(*new)
                doing.result = f"ok: {len(new)} backups, {found.log_objects} pieces of log"
        except SreError as error:
            publish_copy_failure(job, job.declared(db), to, error.exit_code)
            job.note("copy failed", db=db, to=to, error=str(error))
            raise
        publish_copy(job, job.declared(db), found)
        job.note("copied", db=db, to=to, backups=new, log=found.log_objects)
        return found


def _look(job: Job, db: str, to: str) -> _Pass:
    """Both stores listed once; every manifest of the source read and believed."""
    declared, there = job.declared(db), job.at(to).declared(db)
    storage = writing(job.at(to).storage(there), declared.tier.lock, job.clock.wall())
    source = Side(declared.store_name, job.storage(declared))
    work = _Pass(job, declared, there, source, Side(to, storage), job.catalogue(declared))
    with source.named():
        work.here = {each.key: each for each in source.storage.list(database_of(db))}
        listed = list(work.catalogue.listed([db]))
        work.keys = frozenset(each.key for each in source.storage.list("v1/keys/"))
        marked = conditions(source.storage, work.trusted).items()
        work.shredded = frozenset(id_ for id_, each in marked if each.kind == "shredded")
    with work.target.named():
        away = conditions(storage, work.trusted).items()
        work.shredded |= {id_ for id_, each in away if each.kind == "shredded"}
        for prefix in (database_of(db), "v1/keys/"):
            work.present |= {each.key: each.size for each in storage.list(prefix)}
    work.manifests = parents_first([each for each in listed if isinstance(each, Manifest)])
    work.faults = [
        Fault(f"{source.name}: {each.object}", each.problem)
        for each in listed
        if isinstance(each, Fault)
    ]
    return work


def _copy(work: _Pass, lease: Lease, progress: Callable[[int], Progress]) -> Passed:
    log = list(log_waiting(work.declared.name, work.here, work.present))
    count = progress(sum(each.bytes for m in work.manifests for each in work.missing(m)))

    def ours(size: int) -> None:
        lease.check()
        count(size)

    if work.manifests or log:
        ensure_repository(work.source, work.target)
    done = [_one(work, manifest, ours) for manifest in work.manifests]
    along = _along(work, done)
    work.faults += along.problems
    copied = copy_log(work.source, work.target, log, work.trusted, ours)
    epochs = [each for each in work.present if each.startswith("v1/keys/log-")]
    for key in epochs:
        stem = key.rpartition("/")[2].partition(".")[0]
        copy_keys(work.source, work.target, later_keys(stem, work.keys, work.present))
    work.faults += copied.problems
    work.present |= {
        each.key: each.size for each in work.target.storage.list(database_of(work.declared.name))
    }
    found = _result(work, done)
    return dataclasses.replace(
        found,
        log_objects=copied.objects,
        log_bytes=copied.bytes,
        beside=along.verifications,
        marks=along.marks,
        audit=along.audit,
    )


def _along(work: _Pass, done: Sequence[Copied]) -> Along:
    plain = Side(work.target.name, work.job.at(work.target.name).storage(work.there))
    ids = {each.id for each in done if each.state in {"copied", "there", "healed"}}
    there = [each for each in work.manifests if each.id in ids]
    gone = [each for each in work.manifests if each.id in work.shredded and work.committed(each)]
    return bring_along(work.source, work.target, plain, there, gone, work.trusted)


def _one(work: _Pass, manifest: Manifest, progress: Progress) -> Copied:
    """One backup; what is wrong with it does not hold up those that do not build on it."""
    if manifest.id in work.shredded:
        return Copied(manifest.id, manifest.kind, "shredded")
    objects = objects_of(manifest, work.keys)
    if bad := spoiled(objects, work.present):
        fault = Fault(f"{work.target.name}: {bad[0].object}", bad[0].problem)
        return Copied(manifest.id, manifest.kind, "failed", problem=fault)
    before, keys = work.committed(manifest), later_keys(manifest.id, work.keys, work.present)
    if work.whole(manifest):
        size = copy_keys(work.source, work.target, keys)
        return Copied(manifest.id, manifest.kind, "healed" if keys else "there", size)
    parent = manifest.parent
    if parent is not None and not any(
        each.id == parent and work.committed(each) for each in work.manifests
    ):
        fault = Fault(manifest.where.manifest, f"what it builds on, {parent}, is not there")
        return Copied(manifest.id, manifest.kind, "failed", problem=fault)
    try:
        signed = signed_manifest(work.source, manifest.where, work.trusted)
        wanted = work.missing(manifest) if before else objects
        count = copy_backup(work.source, work.target, signed, wanted, keys, progress)
    except Damaged as error:
        if is_gone(work.source, manifest.where):
            return Copied(manifest.id, manifest.kind, "gone")
        return Copied(manifest.id, manifest.kind, "failed", problem=error.fault)
    work.present |= {each.key: each.bytes for each in objects}
    work.present[manifest.where.manifest] = len(signed.data)
    _lock_parents(work, manifest)
    work.job.note("backup copied", id=manifest.id, to=work.target.name, bytes=count)
    return Copied(manifest.id, manifest.kind, "healed" if before else "copied", count)


def _lock_parents(work: _Pass, manifest: Manifest) -> None:
    """What it builds on stays locked there as long as itself."""
    if work.declared.tier.lock is None or manifest.parent is None:
        return
    known, parents = {each.id: each for each in work.manifests}, list[Manifest]()
    at = known.get(manifest.parent)
    while at is not None and at not in parents:
        parents.append(at)
        at = known.get(at.parent or "")
    with work.target.named():
        tuple(extend_parents(work.target.storage, manifest, parents))


def _result(work: _Pass, done: Sequence[Copied]) -> Passed:
    """Where the target stands now."""
    gone = {each.id for each in done if each.state == "gone"} | work.shredded
    left = [each for each in work.manifests if each.id not in gone]
    absent = [each for each in left if not work.committed(each)]
    held = [each for each in left if work.whole(each)]
    log = list(log_waiting(work.declared.name, work.here, work.present))
    late = [each.finished for each in absent]
    late += [each.modified for each in log if each.modified is not None]
    newest = max(held, key=lambda m: (m.consistent, m.id), default=None)
    now = work.job.clock.wall()
    return Passed(
        db=work.declared.name,
        source=work.source.name,
        target=work.target.name,
        at=now,
        backups=tuple(done),
        problems=tuple(work.faults),
        still_open=tuple(
            each.id
            for each in work.manifests
            if each.id in work.shredded and any(k.startswith(family(each.id)) for k in work.present)
        ),
        lag_seconds=lag_of(late, now),
        missing_objects=sum(len(work.missing(each)) for each in left)
        + 2 * len(absent)
        + 2 * len(log),
        newest="" if newest is None else newest.id,
        consistent=None if newest is None else newest.consistent,
    )
