"""How does a backup become a folder again: all of it, checked, or nothing?"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from sre.backup.audit.doing import audited
from sre.backup.catalogue import Damaged
from sre.backup.job import Job
from sre.backup.manifest import Manifest
from sre.backup.opening import Sealed, missing_objects, open_volumes, secret_of
from sre.backup.programs import Tail
from sre.backup.records import Fault, Restored
from sre.core.child import Child
from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, Refused, Transient, UsageError
from sre.core.files import sync_folder
from sre.core.lock import exclusive

__all__ = ["extract", "plan_restore", "restore_to", "uid_of"]

_TAR_SECONDS = 600.0

Progress = Callable[[int], None]


def restore_to(
    job: Job,
    target: str,
    folder: Path,
    *,
    owner: int | None = None,
    progress: Callable[[Manifest], Progress] = lambda _manifest: lambda _count: None,
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
    sealed = plan_restore(job, target, folder)
    manifest = sealed.manifest
    job.note("restore started", id=manifest.id, db=manifest.db, to=str(folder))
    with (
        audited(job, job.declared(manifest.db).store_name, "restore", manifest.id, str(folder)),
        _beside(folder, manifest.source_bytes) as draft,
    ):
        faults = extract(sealed, draft, owner, progress(manifest))
        if faults:
            job.note("restore failed", id=manifest.id, object=faults[0].object)
            raise Damaged(faults[0])
        _sync(draft)
        _must_be_free(folder)
        draft.rename(folder)
        sync_folder(folder.parent)
    job.note("restored", id=manifest.id, db=manifest.db, to=str(folder))
    seconds = job.clock.now() - began
    return Restored(
        manifest.id, manifest.db, str(folder), manifest.source_bytes, seconds, manifest.consistent
    )


def extract(
    sealed: Sealed, folder: Path, owner: int | None, progress: Progress
) -> tuple[Fault, ...]:
    """Unpack all volumes into an empty folder; what is wrong with them.

    Raises:
        Transient: the disk is full, or the store does not answer.
        CheckFailed: tar refuses what every hash says is genuine.
    """
    said = Tail()
    read, write = os.pipe()
    argv = ["tar", "-x", "-p", "--no-same-owner", "-f", "-", "-C", str(folder)]
    try:
        with Child(argv, env={"LC_ALL": "C"}, stdin=read, stderr=said, grace=1.0) as tar:
            os.close(read)
            read = -1
            try:
                faults = _into(tar, sealed, write, progress, said)
            finally:
                os.close(write)
                write = -1
            code = tar.stop() if faults else tar.wait(Deadline.after(_TAR_SECONDS))
    finally:
        for descriptor in (read, write):
            if descriptor >= 0:
                os.close(descriptor)
    if not faults and code != 0:
        raise _refused_by_tar(code, said)
    if owner is not None and not faults:
        _give(folder, owner)
    return faults


def _into(
    tar: Child, sealed: Sealed, write: int, progress: Progress, said: Tail
) -> tuple[Fault, ...]:
    try:
        return open_volumes(sealed, out=write, progress=progress)
    except CheckFailed:
        code = tar.wait(Deadline.after(5))
        if code:  # the decryption ended because nobody read it any more
            raise _refused_by_tar(code, said) from None
        raise


def _refused_by_tar(code: int | None, said: Tail) -> Transient | CheckFailed:
    text = said.text()
    if "No space left" in text:
        return Transient(f"the disk is full: {text}")
    return CheckFailed(f"tar ended with exit code {code}: {text}")


def plan_restore(job: Job, target: str, folder: Path) -> Sealed:
    """Everything that can be known before anything is written; raises as `restore_to` does."""
    _must_be_free(folder.absolute())
    found = job.find(target)
    storage, manifest = found.catalogue.storage, found.catalogue.manifest(found.place)
    secret = secret_of(storage, manifest, job.backups.keys)
    for fault in missing_objects(storage, manifest):
        raise Damaged(fault)
    return Sealed(storage, manifest, secret)


def _must_be_free(folder: Path) -> None:
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise Refused(f"{folder} exists and is not a folder; name a new one")
    if folder.is_dir() and any(folder.iterdir()):
        raise Refused(f"{folder} is not empty; nothing is overwritten: name a new folder")
    if os.path.ismount(folder):
        raise Refused(f"{folder} is a mount point; name a folder inside it")


@contextlib.contextmanager
def _beside(folder: Path, needed: int) -> Iterator[Path]:
    """A private folder next to the target; gone again unless it was renamed.

    What an earlier restore left when it was killed goes first: the lock says that it is dead.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make {folder.parent}: {error.strerror}") from error
    lock = folder.with_name(f".{folder.name}.restoring")
    with exclusive(lock, f"a restore to {folder}"):
        for stale in folder.parent.glob(f".{folder.name}.restoring-*"):
            shutil.rmtree(stale, ignore_errors=True)
        free = shutil.disk_usage(folder.parent).free
        if free < needed:
            raise Refused(f"{folder.parent} has {free} bytes free, the backup needs {needed}")
        draft = folder.with_name(f"{lock.name}-{secrets.token_hex(4)}")
        try:
            draft.mkdir(mode=0o700)
            yield draft
        finally:
            shutil.rmtree(draft, ignore_errors=True)
            lock.unlink(missing_ok=True)


def uid_of(user: str | None) -> int | None:
    """The uid of a name or number; None stays None.

    Raises:
        UsageError: no such user, or we may not give files away.
    """
    if user is None:
        return None
    try:
        uid = int(user) if user.isdigit() else pwd.getpwnam(user).pw_uid
    except KeyError:
        raise UsageError(f"there is no user {user!r} on this machine") from None
    if uid != os.geteuid() and os.geteuid() != 0:
        raise UsageError(f"only root can give files to {user!r}; restore as that user")
    return uid


def _give(folder: Path, owner: int) -> None:
    gid = _group_of(owner)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, owner, gid, follow_symlinks=False)


def _group_of(uid: int) -> int:
    try:
        return pwd.getpwuid(uid).pw_gid
    except KeyError:
        return -1


def _sync(folder: Path) -> None:
    """The whole file system of `folder` onto its disk: one call, not one for each file."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if not hasattr(libc, "syncfs"):
            os.sync()
        elif libc.syncfs(descriptor) != 0:
            raise Transient(f"cannot make {folder} durable: {os.strerror(ctypes.get_errno())}")
    finally:
        os.close(descriptor)
