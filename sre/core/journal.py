"""What happened, in which order, and does it survive a crash?

A journal is a file of JSON lines that only grows. `append` returns once the line is on disk; what
a crash tore off at the end is reported when reading and skipped, never guessed.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sre.core.clock import Clock, SystemClock
from sre.core.errors import Transient, UsageError
from sre.core.files import sync_folder
from sre.core.masking import masked

__all__ = ["Entries", "Journal"]


@dataclass(frozen=True)
class Entries:
    """What a journal holds.

    Attributes:
        entries: the events, oldest first, each with its time `at` (Unix seconds).
        damaged: line numbers (from 1) that are not JSON objects; a torn last line is the usual one.
    """

    entries: tuple[Mapping[str, Any], ...]
    damaged: tuple[int, ...] = ()


class Journal:
    """One journal file, mode 0600. Many processes may append to it at once."""

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self.path = path
        self._clock = clock or SystemClock()

    def append(self, event: Mapping[str, Any], *, durable: bool = True) -> None:
        """Add one event with the time as `at`; known secrets are masked. Durable on return.

        Without `durable` it survives the end of this process at once, that of the machine only
        with the next durable one.

        Raises:
            Transient: the disk refuses (full, read-only); nothing half-written stays behind.
        """
        line = json.dumps({"at": self._clock.wall(), **masked(event)}) + "\n"
        try:
            self._write(line.encode(), durable=durable)
        except OSError as error:
            raise Transient(f"cannot write the journal {self.path}: {error.strerror}") from error

    def _write(self, line: bytes, *, durable: bool) -> None:
        new = not self.path.exists()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(self.path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                line = b"\n" + line  # what a crash tore stays visible on a line of its own
            _write_all(descriptor, line, size)
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if new:
            sync_folder(self.path.parent)

    def read(self) -> Entries:
        """Everything in it; a journal that does not exist is empty.

        Raises:
            UsageError: it exists but may not be read.
        """
        try:
            raw = self.path.read_bytes()
        except FileNotFoundError:
            return Entries(())
        except OSError as error:
            raise UsageError(f"cannot read the journal {self.path}: {error.strerror}") from error
        entries: list[Mapping[str, Any]] = []
        damaged: list[int] = []
        lines = raw.split(b"\n")
        for number, line in enumerate(lines, start=1):
            entry = _parsed(line) if number < len(lines) else None
            if entry is not None:
                entries.append(entry)
            elif line.strip():
                damaged.append(number)
        return Entries(tuple(entries), tuple(damaged))


def _write_all(descriptor: int, data: bytes, size_before: int) -> None:
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except OSError:
        os.ftruncate(descriptor, size_before)
        raise


def _parsed(line: bytes) -> Mapping[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None
