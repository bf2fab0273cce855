"""How is a file of somebody else replaced in one step, with its rights and its links kept?"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path

from sre.core.errors import CheckFailed, Transient
from sre.core.files import sync_folder
from sre.failover.degrade.model import Held

__all__ = ["MOST", "read_held", "write_held"]

MOST = 4 * 2**20
"""Bytes that such a file may have: its former content is kept beside."""

_MODE = 0o644


def read_held(path: Path) -> Held:
    """What is there; `text` None when there is no such file.

    Raises:
        CheckFailed: it is no plain file, too large, or may not be read.
    """
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise CheckFailed(f"{path} is not a plain file")
            data = file.read(MOST + 1)
    except FileNotFoundError:
        return Held(None)
    except OSError as error:
        raise CheckFailed(f"cannot read {path}: {error.strerror}") from error
    if len(data) > MOST:
        raise CheckFailed(f"{path} is larger than {MOST >> 20} MiB; a level changes small files")
    text = data.decode("utf-8", "surrogateescape")
    return Held(text, stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid)


def write_held(path: Path, value: Held) -> None:
    """Put it there in one step, on disk before it returns; the target of a link, not the link.

    Rights and owner are those of `value`, else those that the file has.

    Raises:
        CheckFailed: the folder is not there or may not be written.
        Transient: the disk is full.
    """
    try:
        real = Path(os.path.realpath(path))
        if value.text is None:
            with contextlib.suppress(FileNotFoundError):
                real.unlink()
        else:
            _replace(real, value.text.encode("utf-8", "surrogateescape"), _rights(real, value))
        sync_folder(real.parent)
    except OSError as error:
        kind = Transient if error.errno in (errno.ENOSPC, errno.EDQUOT) else CheckFailed
        raise kind(f"cannot write {path}: {error.strerror}") from error


def _rights(real: Path, value: Held) -> Held:
    if value.mode is not None:
        return value
    with contextlib.suppress(FileNotFoundError):
        found = real.stat()
        return Held(None, stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid)
    return Held(None, _MODE)


def _replace(real: Path, data: bytes, rights: Held) -> None:
    draft = real.with_name(f".{real.name[:200]}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123  a descriptor, not a path
            file.write(data)
            file.flush()
            if rights.uid is not None and rights.gid is not None:
                with contextlib.suppress(PermissionError):
                    os.fchown(file.fileno(), rights.uid, rights.gid)
            os.fchmod(file.fileno(), _MODE if rights.mode is None else rights.mode)
            os.fsync(file.fileno())
        draft.replace(real)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
        raise
