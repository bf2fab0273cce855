"""What does `sre backup run` do, and from which moment on does a backup exist?

Volumes, then the wrapped key, then the signature, then the manifest, which is put only if its key
is free: that put is the commit. Whatever kills us before it leaves objects that nobody lists.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import secrets
from collections.abc import Callable
from typing import Any

from sre import __version__
from sre.backup.audit.doing import audit_head, audited
from sre.backup.engine import Source
from sre.backup.facts import publish_attempt
from sre.backup.fence import guarding
from sre.backup.horizon import Horizon
from sre.backup.job import Job
from sre.backup.keys import new_backup_key, sign, wrap
from sre.backup.layout import REPO, stamp
from sre.backup.lease import Fenced, Lease
from sre.backup.logical.members import summary
from sre.backup.manifest import Manifest, canonical
from sre.backup.objects import Storage
from sre.backup.pipeline import Poured, pour
from sre.backup.planning import Plan, comparing, plan_backup
from sre.backup.pruning.locking import extend_parents, writing
from sre.backup.tap import Tapping
from sre.core.errors import (
    Interrupted,
    Locked,
    SreError,
    Terminated,
    UsageError,
)

__all__ = ["Plan", "plan_backup", "run_backup"]

_IDENTIFY_SECONDS = 30.0
_RANGE = re.compile(
    r'"Timeline": (\d+), "Start-LSN": "([0-9A-F/]+)", "End-LSN": "([0-9A-F/]+)"[^\]]*\]'
)
_CHECKSUM = re.compile(r'"Manifest-Checksum": "([0-9a-f]{64})"')

Progress = Callable[[int], None]


def run_backup(
    job: Job,
    db: str,
    kind: str = "full",
    *,
    progress: Callable[[Source], Progress] = lambda _source: lambda _count: None,
) -> Manifest:
    """Make a backup and commit it. `progress` is told the source, then bytes as they go.

    `kind` is full, differential (on the newest full one) or incremental (on the newest one). Where
    there is nothing sound to build on it becomes a full one; its manifest says why.

    Raises:
        Locked: another run for this database, here or elsewhere, or its retention.
        UsageError, Transient: keys, database or store; nothing is committed.
        CheckFailed: the dump failed or ended early; nothing is committed.
    """
    with job.lock("run", job.declared(db).name):
        began = job.clock.wall()
        try:
            plan = plan_backup(job, db, kind)
            _ensure_repository(job.storage(plan.declared), began)
            store = plan.declared.store_name
            with (
                job.lease(plan.declared, "run") as lease,
                comparing(job, plan) as (plan, tapping),
                audited(job, store, "run", db, plan.place.id, fence=lease.fence),
            ):
                why = {"full_because": plan.choice.reason} if plan.choice.reason else {}
                job.note("backup started", db=db, id=plan.place.id, fence=lease.fence, **why)
                manifest = _make(job, plan, lease, tapping, progress(plan.source))
        except BaseException as error:
            _failed(job, db, began, error)
            raise
        job.note("backup committed", db=db, id=manifest.id)
        publish_attempt(job, plan.declared, began, manifest, 0)
        return manifest


def _failed(job: Job, db: str, began: float, error: BaseException) -> None:
    if isinstance(error, Locked) and not isinstance(error, Fenced):
        return  # another run's business
    job.note("backup failed", db=db, error=str(error) or type(error).__name__)
    publish_attempt(job, job.declared(db), began, None, _exit_code(error))


def _exit_code(error: BaseException) -> int:
    if isinstance(error, SreError | Terminated):
        return error.exit_code
    return Interrupted.exit_code if isinstance(error, KeyboardInterrupt) else SreError.exit_code


def _make(job: Job, plan: Plan, lease: Lease, tapping: Tapping, progress: Progress) -> Manifest:
    keys, place, began = job.backups.keys, plan.place, job.clock.wall()
    storage = writing(job.storage(plan.declared), plan.declared.tier.lock, began)
    secret, recipient = new_backup_key()

    def ours(count: int) -> None:
        lease.check()
        progress(count)

    with Horizon(plan.dump.position, job.clock) as horizon:
        poured = pour(
            plan.dump,
            recipient,
            place,
            storage,
            volume_bytes=plan.declared.volume,
            tapping=tapping,
            progress=ours,
        )
    wrapped = wrap(secret, keys.recipients)
    storage.put(place.key, wrapped)
    manifest = _describe(plan, poured, wrapped, keys.recipients, (began, job.clock.wall()))
    consistent = horizon.before(str(manifest.dump.get("stop_lsn", "")))
    if consistent is None:
        consistent = min(began, plan.source.as_of or began)
    head = audit_head(job, plan.declared.store_name)
    manifest = dataclasses.replace(
        manifest, consistent=consistent, fence=lease.fence, audit_head=head
    )
    data = manifest.encode()
    signature = sign(data, keys.signing)
    lease.confirm()
    with guarding(lease.check):
        storage.put(place.signature, signature)
        _extend_locks(job, plan, manifest, storage)
        storage.put(place.manifest, data)
    return manifest


def _extend_locks(job: Job, plan: Plan, manifest: Manifest, storage: Storage) -> None:
    """What it builds on stays as long as it does; before it can be seen."""
    if not plan.choice.chain or plan.declared.tier.lock is None:
        return
    until = storage.lock_of(plan.place.signature).until
    for each in extend_parents(storage, manifest, plan.choice.chain, until):
        job.note("lock extended", id=each, for_the_sake_of=manifest.id)


def _describe(
    plan: Plan,
    poured: Poured,
    wrapped: bytes,
    recipients: tuple[str, ...],
    times: tuple[float, float],
) -> Manifest:
    said, read = _said(plan, poured), poured.report.get("read", poured.bytes)
    stored = sum(volume.bytes for volume in poured.volumes) + len(wrapped)
    stored += poured.sidecar.bytes if poured.sidecar else 0
    return Manifest(
        id=plan.place.id,
        db=plan.place.db,
        engine=plan.source.engine,
        version=plan.source.version,
        place=plan.place.system,
        kind=plan.choice.kind,
        parent=plan.choice.parent.id if plan.choice.parent else None,
        tier=plan.declared.tier_name,
        started=times[0],
        finished=times[1],
        consistent=times[0],
        source_bytes=said.get("kept_elsewhere", read + poured.report.get("spared", 0)),
        stored_bytes=stored,
        key=plan.place.key,
        key_bytes=len(wrapped),
        key_sha256=hashlib.sha256(wrapped).hexdigest(),
        recipients=recipients,
        volumes=poured.volumes,
        dump=said,
        argv=plan.dump.argv,
        tool=f"sre {__version__}",
        sidecar=poured.sidecar,
    )


def _said(plan: Plan, poured: Poured) -> dict[str, Any]:
    """Timeline, log range and checksum from the end of the engine's own manifest; pages; why."""
    found: dict[str, Any] = {**plan.source.about, "files": poured.members, **summary(poured.tail)}
    if plan.choice.chain:
        found |= {each: poured.report[each] for each in ("pages", "changed")}
        found["changes"] = "native" if plan.dump.native else "pages"
    if plan.not_native:
        found["not_native"] = plan.not_native
    if plan.choice.reason:
        found |= {"asked": plan.asked, "full_because": plan.choice.reason}
    if span := _RANGE.search(poured.tail):
        found |= {"timeline": int(span[1]), "start_lsn": span[2], "stop_lsn": span[3]}
    if checksum := _CHECKSUM.search(poured.tail):
        found["manifest_sha256"] = checksum[1]
    return found


def _ensure_repository(storage: Storage, now: float) -> None:
    """Mark the place as ours, once; a newer format than this program knows is not written to."""
    if storage.head(REPO) is None:
        content = {"schema": "sre.repo/1", "id": secrets.token_hex(8), "created": stamp(now)}
        try:
            storage.put(REPO, canonical(content))
        except SreError:
            if storage.head(REPO) is None:  # two first runs at once: either mark is good
                raise
    try:
        schema = json.loads(storage.get(REPO)).get("schema")
    except (ValueError, AttributeError):
        schema = None
    if schema != "sre.repo/1":
        raise UsageError(
            f"{REPO} in the store says {schema!r}; this version writes sre.repo/1 alone"
        )
