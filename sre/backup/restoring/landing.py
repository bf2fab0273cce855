"""How does a folder appear, complete and durable, or not at all?"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import pwd
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from sre.core.errors import Refused, Transient, UsageError
from sre.core.files import sync_folder
from sre.core.lock import exclusive

__all__ = ["beside", "give", "land", "must_be_free", "uid_of"]


def must_be_free(folder: Path) -> None:
    """Whether a restore may appear there.

    Raises Refused when something is there, UsageError where no folder can be made.
    """
    try:
        _must_be_free(folder)
        _must_be_possible(folder)
    except OSError as error:
        raise _impossible(folder, error.strerror) from error


def _must_be_free(folder: Path) -> None:
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise Refused(f"{folder} exists and is not a folder; name a new one")
    if folder.is_dir() and any(folder.iterdir()):
        raise Refused(f"{folder} is not empty; nothing is overwritten: name a new folder")
    if os.path.ismount(folder):
        raise Refused(f"{folder} is a mount point; name a folder inside it")


def _must_be_possible(folder: Path) -> None:
    """By what the nearest folder that is there says; nothing is written for it."""
    above = next(each for each in folder.parents if each.exists())
    if not above.is_dir():
        raise _impossible(folder, f"{above} is not a folder")
    if os.statvfs(above).f_flag & os.ST_RDONLY:
        raise _impossible(folder, f"{above} is read-only")
    if not os.access(above, os.W_OK | os.X_OK):
        raise _impossible(folder, f"{above} may not be written to")
    if shutil.disk_usage(above).total == 0:
        raise _impossible(folder, f"{above} keeps no files")


def _impossible(folder: Path, why: str | None) -> UsageError:
    return UsageError(f"cannot make {folder}: {why}; name another folder with --to")


@contextlib.contextmanager
def beside(folder: Path, needed: int) -> Iterator[Path]:
    """A private folder next to the target; gone again unless it was renamed.

    What an earlier restore left when it was killed goes first: the lock says that it is dead.
    """
    _try_out(folder)
    lock = folder.with_name(f".{folder.name}.restoring")
    with exclusive(lock, f"a restore to {folder}"):
        draft = folder.with_name(f"{lock.name}-{secrets.token_hex(4)}")
        try:
            for stale in folder.parent.glob(f".{folder.name}.restoring-*"):
                shutil.rmtree(stale, ignore_errors=True)
            free = shutil.disk_usage(folder.parent).free
            if free < needed:
                raise Refused(f"{folder.parent} has {free} bytes free, the backup needs {needed}")
            draft.mkdir(mode=0o700)
            yield draft
        finally:
            shutil.rmtree(draft, ignore_errors=True)
            lock.unlink(missing_ok=True)


def _try_out(folder: Path) -> None:
    """Make the folders above it, and see that one can be made there."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        tried = folder.with_name(f".{folder.name}.restoring-{secrets.token_hex(4)}")
        tried.mkdir(mode=0o700)
        with contextlib.suppress(FileNotFoundError):  # another restore there clears up
            tried.rmdir()
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise Transient(f"cannot make {folder}: {error.strerror}") from error
        raise _impossible(folder, error.strerror) from error


def land(draft: Path, folder: Path) -> None:
    """Give the finished draft its name, everything in it on the disk first. Raises Refused."""
    _sync(draft)
    must_be_free(folder)
    draft.rename(folder)
    sync_folder(folder.parent)


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


def give(folder: Path, owner: int) -> None:
    """Make a user the owner of everything in a folder."""
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
