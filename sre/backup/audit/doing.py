"""How does a command say, around what it does, that it goes into the audit log?

with audited(job, declared.store_name, "run", db, fence=lease.fence) as entry:
    …
    entry.about(manifest.id)
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence

from sre.backup.audit.log import Action, AuditLog
from sre.backup.audit.record import safe_argv
from sre.backup.catalogue import index_folder
from sre.backup.job import Job
from sre.core.errors import SreError, Terminated, UsageError

__all__ = ["Doing", "audit_head", "audit_log", "audited"]


class Doing:
    """An action under way: what it is about may become known only while it runs."""

    def __init__(self, objects: Sequence[str]) -> None:
        self.objects = list(objects)
        self.result = "ok"

    def about(self, *objects: str) -> None:
        """More that it changed."""
        self.objects += [each for each in objects if each not in self.objects]


def audit_log(job: Job, store_name: str) -> AuditLog:
    """The audit log of a store of sre.yaml. Raises UsageError when there is no such store."""
    store = job.backups.stores.get(store_name)
    if store is None:
        known = ", ".join(sorted(job.backups.stores)) or "none"
        raise UsageError(f"sre.yaml declares no store {store_name!r}; known: {known}")
    if store_name not in job.storages:
        job.storages[store_name] = store.open()
    name = index_folder(job.state, store_name, store).name
    return AuditLog(job.storages[store_name], job.backups.keys, name, job.state, job.clock)


@contextlib.contextmanager
def audited(
    job: Job, store_name: str, action: str, *objects: str, fence: int | None = None
) -> Iterator[Doing]:
    """Record what is done inside the context, once it has ended, well or not.

    The record never makes an action fail: one that a store does not take follows later.
    """
    doing = Doing(objects)
    try:
        yield doing
    except BaseException as error:
        doing.result = _said(error)
        raise
    finally:
        audit_log(job, store_name).add(
            Action(
                at=job.clock.wall(),
                argv=safe_argv(sys.argv),
                action=action,
                objects=tuple(doing.objects),
                result=safe_argv([doing.result])[0],
                fence=fence,
            )
        )


def _said(error: BaseException) -> str:
    code = error.exit_code if isinstance(error, SreError | Terminated) else ""
    return f"failed {code} {type(error).__name__}: {error}".replace("  ", " ")


def audit_head(job: Job, store_name: str) -> dict[str, object] | None:
    """The newest record's number and hash, for a manifest; None when there is none to be read."""
    try:
        head = audit_log(job, store_name).head()
    except UsageError:  # this host may not read the log
        return None
    return {"seq": head.seq, "sha256": head.sha256} if head.seq else None
