"""How does one backup become files?"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from sre.backup.opening import Sealed, open_volumes
from sre.backup.outlet import Output
from sre.backup.programs import Tail
from sre.backup.records import Fault
from sre.backup.restoring.landing import give
from sre.core.child import Child
from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, Transient

__all__ = ["extract"]

_TAR_SECONDS = 600.0

Progress = Callable[[int], None]


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
        give(folder, owner)
    return faults


def _into(
    tar: Child, sealed: Sealed, write: int, progress: Progress, said: Tail
) -> tuple[Fault, ...]:
    try:
        return open_volumes(sealed, into=Output(write), progress=progress)
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
