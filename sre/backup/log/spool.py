"""What lies in the spool, and is a file there really the segment that its name says?

pg_receivewal writes `<segment>.partial`, zeros at its end, and renames it once it is whole.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sre.backup.log.lsn import begin_of, number_of
from sre.core.errors import IntegrityError
from sre.core.files import sync_folder

__all__ = ["Spool", "Spooled", "check_header", "end_of_data"]

_NAME = re.compile(r"(?P<segment>[0-9A-F]{24})(?P<partial>\.partial)?|[0-9A-F]{8}\.history")
_HEADER = struct.Struct("<HHIQI4xQII")
_LONG = 0x0002
_CHUNK = 2**20
_ALIGNED = 8


@dataclass(frozen=True, order=True)
class Spooled:
    """A file of pg_receivewal. `partial`: it still writes, or was cut off."""

    name: str
    partial: bool
    path: Path


@dataclass(frozen=True)
class Spool:
    """The folder, for segments of `size` bytes of one server."""

    folder: Path
    size: int
    system: int

    def files(self) -> list[Spooled]:
        """Histories first, then segments by number; what is none of both is not looked at."""
        return sorted(
            self._all(), key=lambda each: (not each.name.endswith(".history"), each.name[8:])
        )

    def seed(self, name: str) -> None:
        """Make pg_receivewal begin with this segment: it goes on with the newest file."""
        (self.folder / f"{name}.partial").touch()
        sync_folder(self.folder)

    def remove(self, each: Spooled) -> None:
        """Durably; only what is in the store."""
        each.path.unlink(missing_ok=True)
        sync_folder(self.folder)

    def aside(self, each: Spooled) -> str:
        """Out of pg_receivewal's sight, kept for people; its new path."""
        folder = self.folder / "aside"
        folder.mkdir(exist_ok=True)
        target = folder / f"{each.path.name}.{each.path.stat().st_mtime_ns:x}"
        each.path.replace(target)
        sync_folder(self.folder)
        return str(target)

    def _all(self) -> Iterator[Spooled]:
        for path in self.folder.iterdir():
            match = _NAME.fullmatch(path.name)
            if match is not None and path.is_file():
                name = match["segment"] or path.name
                yield Spooled(name, match["partial"] is not None, path)

    def check(self, each: Spooled) -> None:
        """Whether a whole file is that segment of that server. Raises IntegrityError."""
        size = each.path.stat().st_size
        if size != self.size:
            raise IntegrityError(
                f"{each.path} has {size} bytes, a segment has {self.size}: it is not stored"
            )
        with each.path.open("rb") as file:
            problem = check_header(file.read(_HEADER.size), each.name, self.size, self.system)
        if problem:
            raise IntegrityError(f"{each.path} is not stored: {problem}")


def check_header(head: bytes, name: str, size: int, system: int) -> str:
    """What is wrong with the first page of a segment; empty when nothing is. (pure)"""
    if len(head) < _HEADER.size:
        return "it is shorter than a header"
    magic, info, timeline, begin, _, owner, said, block = _HEADER.unpack(head[: _HEADER.size])
    expected = begin_of(number_of(name, size), size)
    if magic >> 8 != 0xD0 and magic >> 8 != 0xD1:
        return f"its first page does not begin like one of a log (magic {magic:04X})"
    if not info & _LONG or said != size or block & (block - 1) or not block:
        return f"its first page says segments of {said} bytes, not {size}"
    if owner != system:
        return f"it is of the server {owner}, not {system}"
    if begin != expected:
        return f"its first page is at {begin:X}, not {expected:X}"
    if timeline > int(name[:8], 16):
        return f"it was written on timeline {timeline}"
    return ""


def end_of_data(path: Path) -> int:
    """Where the zeros at the end of a partial file begin, rounded up as records are.

    A record may end in zeros, a commit's always does: with its time, and what fills it to 8 bytes.
    """
    with path.open("rb") as file:
        at = file.seek(0, 2)
        while at > 0:
            start = max(0, at - _CHUNK)
            file.seek(start)
            data = file.read(at - start).rstrip(b"\0")
            if data:
                return -(-(start + len(data)) // _ALIGNED) * _ALIGNED
            at = start
    return 0
