"""Which file holds the place up to which a log was read, whatever a rotation did to it meanwhile?

A place is known by device and inode, and by what stands there: the file's first bytes and those
before the place. So a file is found again after it was renamed, copied or compressed, and one that
was truncated, or that only got the inode of a file that is gone, is not taken for it.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import os
import re
import stat
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

__all__ = [
    "BROKEN",
    "LogFile",
    "Moved",
    "Place",
    "Unreadable",
    "generations",
    "locate",
    "place_in",
    "refused",
]

_HEAD, _TAIL = 1024, 256
_MAX_SIBLINGS = 200
_MAX_PACKED = 32 * 2**20
"""Bytes of the largest compressed file that is looked into: to come to a place in it, everything
before must be unpacked, and a look has seconds."""

_OPENERS: Mapping[str, Callable[[Path], Any]] = {
    ".gz": gzip.GzipFile,
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
}
BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError)
"""What reading a file, plain or compressed, may raise."""


class Moved(Exception):  # noqa: N818  the log was rotated while we looked at it
    """Another file has this name now: what is known about the folder is out of date."""


class Unreadable(Exception):  # noqa: N818  a finding about the log, not a fault of ours
    """The log is there and cannot be read; says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far a file was read.

    Attributes:
        offset: bytes; of a compressed file those that come out of it.
        head, tail: length and digest of the file's beginning, and of what stands before `offset`.
        torn: the place is inside a line whose beginning was thrown away.
        modified: when the file was last written, nanoseconds since the epoch.
        whole: everything that was there has been read.
    """

    device: int
    inode: int
    offset: int
    head: tuple[int, str]
    tail: tuple[int, str]
    torn: bool
    modified: int
    whole: bool

    def to_json(self) -> dict[str, Any]:
        """For a file."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Place:
        """Raises KeyError, TypeError or ValueError: not what `to_json` made."""
        (head, one), (tail, two) = found["head"], found["tail"]
        return cls(
            int(found["device"]),
            int(found["inode"]),
            int(found["offset"]),
            (int(head), str(one)),
            (int(tail), str(two)),
            bool(found["torn"]),
            int(found["modified"]),
            bool(found["whole"]),
        )


@dataclass(frozen=True, slots=True)
class LogFile:
    """One generation of a log, as it lies in its folder.

    Attributes:
        order: newer ones compare greater; `current` has no order, it is the newest.
    """

    path: Path
    device: int
    inode: int
    size: int
    modified: int
    order: tuple[int, ...]
    current: bool

    @property
    def packed(self) -> bool:
        """Whether it is compressed."""
        return self.path.suffix in _OPENERS

    def open(self) -> IO[bytes]:
        """For reading, at its beginning.

        Raises:
            OSError: the system refuses.
            Moved: the name stands for another file by now.
        """
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        found = os.fstat(descriptor)
        if (found.st_dev, found.st_ino) != (self.device, self.inode):
            os.close(descriptor)
            raise Moved
        plain: IO[bytes] = os.fdopen(descriptor, "rb", buffering=0)
        if not self.packed:
            return plain
        plain.close()
        unpacked: IO[bytes] = _OPENERS[self.path.suffix](self.path)
        return unpacked

    def is_at(self, place: Place) -> bool:
        """Whether it has the inode of the place."""
        return (self.device, self.inode) == (place.device, place.inode)


def generations(path: Path) -> list[LogFile]:
    """The rotated files beside a log, oldest first, then the log itself, if it is there.

    Rotated are `access.log.1`, `access.log.2.gz`, `access.log-20261121`, `access-20261121.log` and
    so on; one that is being compressed counts once.

    Raises:
        Unreadable: the log is no ordinary file.
    """
    current = _file(path, (), current=True)
    pattern = _names(path)
    try:
        with os.scandir(path.parent) as entries:
            names = [entry.name for entry in entries if pattern(entry.name)]
    except OSError:
        names = []
    found = []
    names.sort(key=lambda name: _order(path, name))
    for name in names[-_MAX_SIBLINGS:]:
        packed = Path(name).suffix in _OPENERS
        if packed and name.rpartition(".")[0] in names:
            continue  # gzip takes the original away when it is done
        one = _file(path.with_name(name), _order(path, name), current=False)
        if one is not None and not (current and _same(one, current)):
            found.append(one)
    return sorted(found, key=lambda one: one.order) + ([current] if current else [])


def refused(path: Path, error: BaseException) -> Unreadable:
    """Why a log could not be read, and what to do."""
    if isinstance(error, PermissionError):
        what = f"no permission to read {path}; run as a user of its group (often `adm`)"
        return Unreadable(what)
    return Unreadable(f"cannot read {path}: {getattr(error, 'strerror', None) or error}")


def _same(one: LogFile, other: LogFile) -> bool:
    return (one.device, one.inode) == (other.device, other.inode)


def _names(path: Path) -> Callable[[str], object]:
    name, stem, suffix = (re.escape(text) for text in (path.name, path.stem, path.suffix))
    date = r"[-._]\d[\d_.:T-]*"
    return re.compile(
        rf"(?:{name}(?:{date}|[-._]old)|{stem}{date}{suffix})(?:\.(?:gz|bz2|xz))?"
    ).fullmatch


def _order(path: Path, name: str) -> tuple[int, ...]:
    """A date grows, a small number (`access.log.3`) is the older the greater it is."""
    rest = name.removeprefix(path.stem).removeprefix(path.suffix)
    numbers = tuple(int(each[:18]) for each in re.findall(r"\d+", rest))
    if not numbers:
        return (-1,)
    return (-numbers[0],) if numbers[0] < 1000 else numbers


def _file(path: Path, order: tuple[int, ...], *, current: bool) -> LogFile | None:
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if not current:
            return None
        raise refused(path, error) from error
    if not stat.S_ISREG(found.st_mode):
        if not current:
            return None
        what = "a folder" if stat.S_ISDIR(found.st_mode) else "no ordinary file"
        raise Unreadable(f"{path} is {what}; name the file that the log is written to")
    return LogFile(
        path, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, order, current
    )


def locate(place: Place, files: Iterable[LogFile]) -> LogFile | None:
    """The file in which the place is: by inode and content, else by content alone.

    Raises:
        Moved: a file was renamed meanwhile.
    """
    files = list(files)
    ours = [one for one in files if one.is_at(place) and _holds(one, place)]
    if ours or not place.head[0]:
        return ours[0] if ours else None
    others = (one for one in reversed(files) if not one.is_at(place) and not one.current)
    return next((one for one in others if _holds(one, place)), None)


def _holds(one: LogFile, place: Place) -> bool:
    if one.size > _MAX_PACKED if one.packed else one.size < max(place.offset, place.head[0]):
        return False
    try:
        with one.open() as file:
            if _digest(file, 0, place.head[0]) != place.head:
                return False
            start = place.offset - place.tail[0]
            return _digest(file, start, place.tail[0]) == place.tail
    except BROKEN:
        return False


def place_in(one: LogFile, file: IO[bytes], offset: int, *, torn: bool, whole: bool) -> Place:
    """The place in an open file, as it can be found again. Raises what BROKEN lists."""
    found = os.fstat(file.fileno())
    head = _HEAD if one.packed else min(_HEAD, found.st_size)
    tail = min(_TAIL, offset)
    return Place(
        one.device,
        one.inode,
        offset,
        _digest(file, 0, head),
        _digest(file, offset - tail, tail),
        torn,
        found.st_mtime_ns,
        whole,
    )


def _digest(file: IO[bytes], start: int, length: int) -> tuple[int, str]:
    file.seek(start)
    found = b""
    while len(found) < length and (chunk := file.read(length - len(found))):
        found += chunk
    return len(found), hashlib.sha256(found).hexdigest()[:32]
