"""Where may a check write in a folder, and what kind of folder is it?"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from sre.backup.doctor.scene_names import SCRATCH, scratch_name
from sre.core.clock import Clock, Deadline
from sre.core.errors import Refused, Transient, UsageError

__all__ = ["LocalScene", "mount_of"]


class LocalScene:
    """A scratch folder below the store's own."""

    def __init__(self, root: Path, clock: Clock, deadline: Deadline) -> None:
        self.root, self.clock, self.deadline = root, clock, deadline
        self.folder = root / SCRATCH / scratch_name(clock)
        self.memo: dict[str, Any] = {}
        self.made: list[Path] = []
        """Folders that were not there before, outermost first."""

    def open(self) -> None:
        """Make the scratch folder. Raises Refused, Transient, UsageError."""
        missing = [each for each in (self.folder, *self.folder.parents) if not each.exists()]
        try:
            self.folder.mkdir(parents=True, mode=0o700)
            self.made = missing[::-1]
        except PermissionError as error:
            raise Refused(
                f"this user may not write to {self.root}: {error.strerror}; mend its owner or mode"
            ) from error
        except (NotADirectoryError, FileExistsError) as error:
            raise UsageError(f"{self.root} is not a folder; mend stores: in sre.yaml") from error
        except OSError as error:
            kind = Refused if error.errno == 30 else Transient  # EROFS
            raise kind(f"cannot write to {self.root}: {error.strerror}") from error

    def sub(self, name: str) -> Path:
        """A folder of one check."""
        path = self.folder / name
        path.mkdir(mode=0o700)
        return path

    def close(self) -> tuple[str, ...]:
        """Remove what was made; what is left, and why."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for path in (self.folder.parent, *reversed(self.made)):
            try:
                path.rmdir()
            except OSError:
                continue
        return (f"{self.folder} (cannot be removed)",) if os.path.lexists(self.folder) else ()


def mount_of(path: Path, table: str) -> tuple[str, str]:
    """(where it is mounted, kind of filesystem), by the text of /proc/self/mountinfo. (pure)"""
    best, kind = "/", ""
    for line in table.splitlines():
        fields = line.split()
        if "-" not in fields[6:] or len(fields) < 9:
            continue
        point = fields[4].encode().decode("unicode_escape")
        inside = point == "/" or path == Path(point) or Path(point) in path.parents
        if inside and len(point) >= len(best):
            best, kind = point, fields[fields.index("-", 6) + 1]
    return best, kind
