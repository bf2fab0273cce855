"""How do the files of a logical dump appear in a folder, complete and checked, or not at all?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sre.backup.audit.doing import audited
from sre.backup.catalogue import Damaged
from sre.backup.job import Job
from sre.backup.logical.files import check_dump
from sre.backup.records import Restored
from sre.backup.restoring.chain import Chain, extract_chain, open_chain
from sre.backup.restoring.landing import beside, land, must_be_free
from sre.core.clock import Deadline
from sre.core.errors import CheckFailed

__all__ = ["extracted", "plan_files", "restore_files"]

_CHECK_SECONDS = 6 * 3600.0

Progress = Callable[[int], None]


def plan_files(job: Job, target: str, folder: Path) -> Chain:
    """What can be known before anything is written; raises as `restore_files` does."""
    must_be_free(folder.absolute())
    found = job.find(target)
    return open_chain(found.catalogue, found.place, job.backups.keys)


def restore_files(
    job: Job,
    target: str,
    folder: Path,
    *,
    progress: Callable[[Chain], Progress] = lambda _chain: lambda _count: None,
) -> Restored:
    """The files of a logical dump (`database.dump`, `roles.sql`, …) in a new folder, checked.

    Raises as `restore_to` does, and CheckFailed when pg_restore cannot read the dump.
    """
    folder, began = folder.absolute(), job.clock.now()
    chain = plan_files(job, target, folder)
    manifest, declared = chain.manifest, job.declared(chain.manifest.db)
    with (
        audited(job, declared.store_name, "restore", manifest.id, str(folder)),
        beside(folder, manifest.source_bytes) as draft,
    ):
        extracted(chain, draft, progress)
        bin_dir = getattr(declared.database, "bin_dir", None)
        for problem in check_dump(draft, bin_dir, Deadline.after(_CHECK_SECONDS, job.clock)):
            raise CheckFailed(f"{manifest.id}: {problem}")
        land(draft, folder)
    job.note("restored", id=manifest.id, db=manifest.db, to=str(folder))
    seconds = job.clock.now() - began
    return Restored(
        manifest.id, manifest.db, str(folder), manifest.source_bytes, seconds, manifest.consistent
    )


def extracted(chain: Chain, folder: Path, progress: Callable[[Chain], Progress]) -> None:
    """Unpack a chain into an empty folder. Raises Damaged, and as `extract_chain`."""
    for fault in extract_chain(chain, folder, None, progress(chain)):
        raise Damaged(fault)
