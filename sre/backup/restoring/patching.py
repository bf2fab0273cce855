"""How does the folder of one backup become that of the next one, or an empty one that of a full?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sre.backup.opening import Sealed, open_volumes
from sre.backup.outlet import Folder
from sre.backup.records import Fault

__all__ = ["change"]

Progress = Callable[[int], None]


def change(sealed: Sealed, folder: Path, progress: Progress) -> tuple[Fault, ...]:
    """Apply a backup to the folder of its parent, in place; what is wrong with it.

    After a fault the folder is neither the one nor the other: nobody may use it. Raises as
    `open_volumes`.
    """
    native = sealed.manifest.dump.get("changes") == "native"
    return open_volumes(sealed, into=Folder(str(folder), native), progress=progress)
