"""Is a folder what the server's own `backup_manifest` says?

The server hashed every file as it sent it. So this proves more than that nothing was damaged on the
way: what a chain of backups was put together to is, byte for byte, what the server had read. It
does what pg_verifybackup does (except for the log), where that program is missing.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO, Any, Protocol

from google_crc32c import extend

from sre.backup.recovery.settings import LOG_FOLDER
from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, IntegrityError

__all__ = ["MANIFEST", "Sum", "Told", "check_folder", "parse", "summing"]

MANIFEST = "backup_manifest"
_PIECE = 2**20
_THREADS = 4
_END = re.compile(rb'"Manifest-Checksum": "([0-9a-f]{64})"\}\s*\Z')
_IGNORED = {MANIFEST, "postgresql.auto.conf", "recovery.signal", "standby.signal"}
_LOGS = {"pg_wal", LOG_FOLDER}
_MOST = 20


class Sum(Protocol):
    """A checksum that grows."""

    def update(self, data: bytes | memoryview) -> None:
        """More bytes."""
        ...

    def hexdigest(self) -> str:
        """As the server writes it."""
        ...


class _Crc32c:
    """The server writes the four bytes as they lie in a little-endian memory."""

    def __init__(self) -> None:
        self._sum = 0

    def update(self, data: bytes | memoryview) -> None:
        self._sum = extend(self._sum, bytes(data))

    def hexdigest(self) -> str:
        return self._sum.to_bytes(4, "little").hex()


_SUMS: Mapping[str, Callable[[], Sum]] = {
    "CRC32C": _Crc32c,
    "SHA224": hashlib.sha224,
    "SHA256": hashlib.sha256,
    "SHA384": hashlib.sha384,
    "SHA512": hashlib.sha512,
}


def summing(algorithm: str) -> Sum:
    """A new checksum of the server's name. Raises IntegrityError when there is none such."""
    made = _SUMS.get(algorithm.upper())
    if made is None:
        raise IntegrityError(f"the checksum {algorithm!r} is not known")
    return made()


@dataclass(frozen=True)
class Told:
    """What the server said of one file; `algorithm` is None when it gave no checksum."""

    path: str
    size: int
    algorithm: str | None
    checksum: str
    raw: Mapping[str, Any]


def parse(data: bytes) -> tuple[dict[str, Any], dict[str, Told]]:
    """The document and its files by path.

    Raises:
        IntegrityError: it is none, or its own checksum does not hold.
    """
    end = _END.search(data)
    last = data.rfind(b"\n", 0, end.start() if end else 0) + 1
    if end is None or hashlib.sha256(data[:last]).hexdigest() != end[1].decode():
        raise IntegrityError(f"{MANIFEST}: its own checksum does not hold")
    try:
        document = json.loads(data)
        files = {told.path: told for told in map(_told, document["Files"])}
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"{MANIFEST}: {error}") from error
    return document, files


def check_folder(folder: str, deadline: Deadline | None = None) -> tuple[str, ...]:
    """What is wrong with a restored folder, a file a line, at most twenty.

    Raises:
        IntegrityError: the manifest is missing, or as `parse`.
        CheckFailed: the deadline has passed.
    """
    try:
        with open(os.path.join(folder, MANIFEST), "rb") as file:  # noqa: PTH118, PTH123
            _, told = parse(file.read())
    except FileNotFoundError:
        raise IntegrityError(f"{MANIFEST} is missing") from None
    except OSError as error:
        raise IntegrityError(f"{MANIFEST} cannot be read: {error.strerror}") from error

    def problem(each: Told) -> str:
        if deadline is not None and deadline.passed():
            raise CheckFailed(f"the check against {MANIFEST} did not end in time")
        return _problem(folder, each)

    extra = sorted(path for path in set(_files(folder)) - told.keys() if path not in _IGNORED)
    with ThreadPoolExecutor(_THREADS) as pool:
        wrong = [found for found in pool.map(problem, told.values()) if found]
    return (*wrong, *(f"{path}: the server did not send it" for path in extra))[:_MOST]


def _told(item: Mapping[str, Any]) -> Told:
    path = item.get("Path")
    if path is None:
        path = os.fsdecode(bytes.fromhex(item["Encoded-Path"]))
    algorithm = item.get("Checksum-Algorithm")
    return Told(path, int(item["Size"]), algorithm, item.get("Checksum", ""), item)


def _files(folder: str) -> Iterator[str]:
    """Every file but those of the log, also of one that was fetched, by its path in the folder."""
    for here, folders, files in os.walk(folder):
        base = os.path.relpath(here, folder)
        if base == ".":
            folders[:] = [name for name in folders if name not in _LOGS]
            yield from (name for name in files if name not in _LOGS)
        else:
            yield from (f"{base}/{name}" for name in files)


def _problem(folder: str, told: Told) -> str:
    """What is wrong with one file; empty when nothing is."""
    if told.path.startswith("/") or ".." in told.path.split("/"):
        return f"{told.path}: the name leads elsewhere"
    try:
        with open(os.path.join(folder, told.path), "rb") as file:  # noqa: PTH118, PTH123
            problem = _differs(file, told)
    except FileNotFoundError:
        problem = "it is missing"
    except OSError as error:
        problem = f"it cannot be read: {error.strerror}"
    return f"{told.path}: {problem}" if problem else ""


def _differs(file: IO[bytes], told: Told) -> str:
    found = os.fstat(file.fileno())
    if not stat.S_ISREG(found.st_mode):
        return "it is not a file"
    if found.st_size != told.size:
        return f"it has {found.st_size} bytes, the server sent {told.size}"
    if told.algorithm is None:
        return ""
    summed = summing(told.algorithm)
    while piece := file.read(_PIECE):
        summed.update(piece)
    if summed.hexdigest() == told.checksum:
        return ""
    return f"its {told.algorithm} is not the one of what the server sent"
