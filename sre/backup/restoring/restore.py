"""How does a backup become a folder again: all of it, checked, or nothing?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sre.backup.audit.doing import audited
from sre.backup.catalogue import Damaged
from sre.backup.job import Job
from sre.backup.records import Restored
from sre.backup.restoring.chain import Chain, extract_chain, open_chain
from sre.backup.restoring.landing import beside, land, must_be_free

__all__ = ["plan_restore", "restore_to"]

Progress = Callable[[int], None]


def restore_to(
    job: Job,
    target: str,
    folder: Path,
    *,
    owner: int | None = None,
    progress: Callable[[Chain], Progress] = lambda _chain: lambda _count: None,
) -> Restored:
    """Restore a database's newest backup, or the one with that id, into a folder.

    The folder must be absent or empty. Everything is written beside it, checked while it streams,
    made durable, and only then given its name; until then the target is untouched.

    Raises:
        Refused: something is there, or there is too little space.
        Damaged: the manifest, the key or a volume is not what it should be, or cannot be opened.
        Transient: the store does not answer.
    """
    folder = folder.absolute()
    began = job.clock.now()
    chain = plan_restore(job, target, folder)
    manifest = chain.manifest
    job.note("restore started", id=manifest.id, db=manifest.db, to=str(folder))
    with (
        audited(job, job.declared(manifest.db).store_name, "restore", manifest.id, str(folder)),
        beside(folder, manifest.source_bytes) as draft,
    ):
        faults = extract_chain(chain, draft, owner, progress(chain))
        if faults:
            job.note("restore failed", id=manifest.id, object=faults[0].object)
            raise Damaged(faults[0])
        land(draft, folder)
    job.note("restored", id=manifest.id, db=manifest.db, to=str(folder))
    seconds = job.clock.now() - began
    return Restored(
        manifest.id, manifest.db, str(folder), manifest.source_bytes, seconds, manifest.consistent
    )


def plan_restore(job: Job, target: str, folder: Path) -> Chain:
    """Everything that can be known before anything is written; raises as `restore_to` does."""
    must_be_free(folder.absolute())
    found = job.find(target)
    return open_chain(found.catalogue, found.place, job.backups.keys)
