"""How is another program's configuration file changed so that nothing of it is lost?

One change at a time (the folder is locked), checked as a draft by the program itself, replaced in
one step with its owner, mode and extended attributes; a link to it stays a link.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, Transient
from sre.core.files import sync_folder
from sre.core.process import run

__all__ = ["change", "checked_by", "locked", "read", "replace"]

_POLL = 0.005


def read(path: str) -> bytes:
    """What stands in it.

    Raises:
        CheckFailed: it cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise CheckFailed(f"cannot read {path}: {error.strerror}") from error


def change(
    path: str,
    edit: Callable[[bytes], bytes],
    check: Callable[[Path, Deadline], None],
    deadline: Deadline,
) -> bool:
    """Put `edit` of the file in its place once `check` has passed a draft of it.

    Returns False, having touched nothing, when there is nothing to change.

    Raises:
        CheckFailed: it cannot be read or replaced, or the draft is wrong; the file is as before.
        Transient: another run changes files there, to the deadline.
    """
    target = Path(path).resolve()
    if edit(content := read(path)) == content:
        return False
    with locked(target.parent, deadline):
        while True:
            content = read(path)
            wanted = edit(content)
            if wanted == content:
                return False
            if _replaced(target, content, wanted, lambda draft: check(draft, deadline)):
                return True
            if deadline.passed():
                raise Transient(f"{path} is changed by somebody else all the time; try again")


def replace(path: Path, wanted: bytes) -> None:
    """Put `wanted` at `path` in one step, keeping owner and mode. No check, no lock.

    Raises:
        CheckFailed: as `change` does.
    """
    _replaced(path.resolve(), None, wanted, lambda _draft: None)


@contextlib.contextmanager
def locked(folder: Path, deadline: Deadline) -> Iterator[None]:
    """Hold a folder's own lock: no file is left in it, whoever we run as.

    A folder that we may not read locks nobody out.

    Raises:
        Transient: another holds it, to the deadline.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        yield
        return
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if deadline.passed():
                    raise Transient(f"another run makes changes in {folder}; try again") from None
                deadline.clock.sleep(_POLL)
        yield
    finally:
        os.close(descriptor)


def checked_by(argv: tuple[str, ...], draft: Path, deadline: Deadline) -> None:
    """Run the program that knows whether `draft` is right; `{file}` stands for it.

    Raises:
        CheckFailed: it is not, in the program's words.
        Transient: no answer by the deadline.
    """
    done = run([part.replace("{file}", str(draft)) for part in argv], deadline)
    if done.timed_out:
        raise Transient(f"{argv[0]} did not finish checking the changed file in time")
    if not done.ok:
        words = (done.stderr.strip() or done.stdout.decode("utf-8", "replace").strip())[-600:]
        told = words.replace(str(draft), "the draft") or f"exit code {done.returncode}"
        raise CheckFailed(f"{argv[0]} rejects the changed file; it stays as it was: {told}")


def _replaced(
    target: Path, before: bytes | None, wanted: bytes, check: Callable[[Path], None]
) -> bool:
    """False when somebody else changed the file since `before` was read."""
    draft = target.with_name(f".{target.name}.sre-draft")  # of one that was killed: written over
    try:
        _write_like(target, draft, wanted)
        check(draft)
        if before is not None and target.read_bytes() != before:
            return False
        draft.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        raise CheckFailed(
            f"cannot replace {target}: {error.strerror}; it stays as it was"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()
    return True


def _write_like(target: Path, draft: Path, data: bytes) -> None:
    like = target.stat()
    with contextlib.suppress(FileNotFoundError):
        draft.unlink()
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:  # noqa: PTH123  a descriptor, not a path
        mine = os.fstat(descriptor)
        if (mine.st_uid, mine.st_gid) != (like.st_uid, like.st_gid):
            os.fchown(descriptor, like.st_uid, like.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(like.st_mode))
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    for name in os.listxattr(target):
        with contextlib.suppress(OSError):
            os.setxattr(draft, name, os.getxattr(target, name))
