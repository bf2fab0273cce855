"""How is a small file replaced only if nobody else did, and what time is it on its disk?

One lock file beside it makes reading and replacing one step (between machines too, where the file
system carries locks). The time is the one that the file system stamps: on a share, the server's.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from sre.backup.fence import may_write
from sre.backup.objects import Cell, Changed
from sre.core.files import replace_file

__all__ = ["read", "swap"]


def read(path: Path, key: str, draft: str) -> Cell:
    """What stands there; nothing there is a cell without data. `draft` begins hidden names."""
    with _alone(path, draft) as at:
        return _cell(path, key, at)


def swap(path: Path, key: str, data: bytes, version: str, draft: str) -> Cell:
    """Replace that version in one step."""
    with _alone(path, draft) as at:
        found = _cell(path, key, at)
        if found.version != version and found.data != data:
            raise Changed(f"{key} was changed by somebody else meanwhile")
        may_write()
        replace_file(path, data)
        return Cell(key, data, _version(data), at)


def _cell(path: Path, key: str, at: float) -> Cell:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Cell(key, None, "", at)
    return Cell(key, data, _version(data), at)


def _version(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@contextlib.contextmanager
def _alone(path: Path, draft: str) -> Iterator[float]:
    """Hold the lock file; the time on this disk."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = path.with_name(f"{draft}lock-{path.name}")
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.utime(descriptor)
        yield os.fstat(descriptor).st_mtime
    finally:
        os.close(descriptor)
