"""How does the folder of one backup become that of the next one?"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from sre.backup.opening import Sealed, open_volumes
from sre.backup.programs import PYTHON_PATH, Tail, python_program
from sre.backup.records import Fault
from sre.core.child import Child
from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, Transient

__all__ = ["change"]

_SECONDS = 600.0

Progress = Callable[[int], None]


def change(sealed: Sealed, folder: Path, progress: Progress) -> tuple[Fault, ...]:
    """Apply a backup to the folder of its parent, in place; what is wrong with it.

    After a fault the folder is neither the one nor the other: nobody may use it.

    Raises:
        Transient: the disk is full, or the store does not answer.
        CheckFailed: what every hash says is genuine cannot be applied to this folder.
    """
    said = Tail()
    native = ["--native"] if sealed.manifest.dump.get("changes") == "native" else []
    argv = python_program("sre.backup.pages.apply", str(folder), *native)
    read, write = os.pipe()
    with contextlib.ExitStack() as stack:
        into = stack.enter_context(open(write, "wb", buffering=0))  # noqa: PTH123  a descriptor
        with open(read, "rb", buffering=0):  # noqa: PTH123  ours is closed once the child has its
            child = stack.enter_context(
                Child(argv, env=PYTHON_PATH, stdin=read, stderr=said, grace=1.0)
            )
        faults: tuple[Fault, ...] = ()
        broken: CheckFailed | None = None
        try:
            faults = open_volumes(sealed, out=write, progress=progress)
        except CheckFailed as error:  # perhaps because nobody read what it wrote any more
            broken = error
        into.close()
        code = child.stop() if faults else child.wait(Deadline.after(_SECONDS))
    if not faults and code != 0:
        raise _refused(code, said)
    if broken is not None:
        raise broken
    return faults


def _refused(code: int | None, said: Tail) -> Transient | CheckFailed:
    text = said.text()
    if "No space left" in text:
        return Transient(f"the disk is full: {text}")
    return CheckFailed(f"the changed pages cannot be applied (exit code {code}): {text}")
