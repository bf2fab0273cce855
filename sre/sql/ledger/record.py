"""What became of each write, so that it is known even after `kill -9` of the ledger itself?

One line of text for each event, appended with one `write` before the next step is taken:

    {"schema": "sre.ledger-record/1", …}   the head
    i WRITER NUMBER DUE AT                 about to be sent
    a WRITER NUMBER AT                     acknowledged
    m WRITER NUMBER AT CLASS               ambiguous: sent, and no answer that can be relied on
    f WRITER NUMBER AT CLASS               failed: certainly not there
    e {…}                                  the end

Times are microseconds of the monotonic clock. An `i` that nothing follows is ambiguous. Nothing is
synced to the disk: what the kernel has taken outlives the process, not the machine.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from sre.core.errors import Locked, Transient, UsageError
from sre.sql.ledger.model import Ending, Head, Outcome

__all__ = [
    "FILE",
    "Line",
    "Recorder",
    "read_head",
    "read_lines",
    "refuse_second",
    "refuse_unfinished",
]

FILE = "writes.log"
_SCHEMA = "sre.ledger-record/1"
_FIELDS = {"i": 5, "a": 4, "m": 5, "f": 5}

Line = tuple[str, int, int, int, str] | Ending | None
"""(letter, writer, number, microseconds, class of error or the due time), the end, or damage."""


class Recorder:
    """Appends to the record of one run; threads share it.

    Raises (all methods):
        Transient: the disk refuses. Nothing half-written stays, and nothing more is taken.
    """

    def __init__(self, folder: Path, head: Head) -> None:
        """Raises UsageError: the folder cannot be made, or holds a record already."""
        self.path = folder / FILE
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, flags, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # goes with us, however we end
        except FileExistsError:
            raise _second(folder) from None
        except OSError as error:
            raise UsageError(f"cannot make {self.path}: {error.strerror}") from error
        self._lock, self._size, self._broken = threading.Lock(), 0, ""
        self._put(json.dumps({"schema": _SCHEMA, **asdict(head)}) + "\n")

    def intent(self, writer: int, number: int, due: float, at: float) -> None:
        """Before a write is sent."""
        self._put(f"i {writer} {number} {_micro(due)} {_micro(at)}\n")

    def result(self, outcome: Outcome, writer: int, number: int, at: float, word: str = "") -> None:
        """Before the writer does anything else."""
        tail = f" {word}" if word else ""
        self._put(f"{outcome.value} {writer} {number} {_micro(at)}{tail}\n")

    def end(self, ending: Ending) -> None:
        """The last line."""
        self._put(f"e {json.dumps(asdict(ending))}\n")

    def close(self) -> None:
        """Put what is there on disk, as far as it can be, and let go of the file."""
        with self._lock:
            if self._file >= 0:
                try:
                    os.fsync(self._file)
                except OSError:
                    pass
                os.close(self._file)
                self._file, self._broken = -1, "it is closed"

    def _put(self, text: str) -> None:
        data = text.encode("ascii")
        with self._lock:
            if self._broken:
                raise Transient(f"the ledger's record {self.path} takes nothing: {self._broken}")
            try:
                if os.write(self._file, data) != len(data):
                    os.ftruncate(self._file, self._size)
                    raise OSError(28, "No space left on device")  # noqa: TRY301  a short write
            except OSError as error:
                self._broken = error.strerror or "cannot write"
                raise Transient(
                    f"cannot write the ledger's record {self.path}: {self._broken}; stopped "
                    "writing, what stands in it is true. Make room and begin another one"
                ) from error
            self._size += len(data)


def refuse_second(folder: Path) -> None:
    """Raises UsageError: the folder holds a record already; said before a server is asked."""
    if (folder / FILE).exists():
        raise _second(folder)


def refuse_unfinished(folder: Path) -> None:
    """Raises Locked: somebody still writes it; what he writes next would look unexpected."""
    with contextlib.suppress(FileNotFoundError), (folder / FILE).open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Locked(
                f"the ledger in {folder} is still being written; end it with SIGTERM, then verify"
            ) from None


def _second(folder: Path) -> UsageError:
    return UsageError(
        f"{folder} already holds a ledger; a ledger is written once, name another folder"
    )


def read_head(folder: Path) -> Head:
    """Which run it is. Raises UsageError: there is no record, or its first line is none."""
    path = folder / FILE
    try:
        with path.open("rb") as file:
            line = file.readline(1 << 16)
    except OSError as error:
        raise UsageError(
            f"there is no ledger in {folder} ({error.strerror}); `sre ledger write --out` makes one"
        ) from None
    try:
        found: dict[str, Any] = json.loads(line)
        if found.pop("schema") == _SCHEMA and line.endswith(b"\n"):
            known = {each.name for each in fields(Head)}
            return Head(**{key: value for key, value in found.items() if key in known})
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise UsageError(f"{path}: the first line is not that of a ledger's record")


def read_lines(folder: Path) -> Iterator[Line]:
    """Every line after the head; a torn last line is left out, any other damage is a None."""
    with (folder / FILE).open("rb") as file:
        file.readline()
        for raw in file:
            if raw.endswith(b"\n"):
                yield _parsed(raw)


def _parsed(raw: bytes) -> Line:
    try:
        parts = raw.decode("ascii").split()
        if parts[0] == "e":
            return Ending(**json.loads(raw[2:]))
        if len(parts) != _FIELDS[parts[0]]:
            return None
        letter, writer, number = parts[0], int(parts[1]), int(parts[2])
        if letter == "i":
            return (letter, writer, number, int(parts[4]), parts[3])
        return (letter, writer, number, int(parts[3]), parts[4] if len(parts) > 4 else "")
    except (ValueError, KeyError, IndexError, TypeError):
        return None


def _micro(seconds: float) -> int:
    return round(seconds * 1_000_000)
