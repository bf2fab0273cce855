"""How do a child process and we tell many objects apart on one pipe?

A frame is a letter, a length and that many bytes. A stream without its last frame was cut: a
program that was killed cannot look like one that had finished.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, Literal

from sre.core.errors import IntegrityError

__all__ = ["DATA", "END", "LAST", "SIDE", "Frame", "read_frames", "write_frame", "write_record"]

DATA, END, SIDE, LAST = b"D", b"E", b"S", b"L"
"""A piece of an object, its end with what was found (JSON), what follows is the sidecar (empty),
the end of all (JSON)."""

_HEAD = struct.Struct(">cI")
_LIMIT = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame; `kind` is "D", "E", "S" or "L"."""

    kind: Literal["D", "E", "S", "L"]
    data: bytes

    def record(self) -> dict[str, Any]:
        """The JSON of an end."""
        found: dict[str, Any] = json.loads(self.data)
        return found


def write_frame(file: IO[bytes], kind: bytes, data: bytes | bytearray | memoryview) -> None:
    """Write one frame."""
    file.write(_HEAD.pack(kind, len(data)))
    file.write(data)


def write_record(file: IO[bytes], kind: bytes, record: dict[str, Any]) -> None:
    """Write an end, and everything before it, through to the reader."""
    write_frame(file, kind, json.dumps(record).encode())
    file.flush()


def read_frames(file: IO[bytes]) -> Iterator[Frame]:
    """Every frame up to the last one.

    Raises:
        IntegrityError: the stream ended without it.
    """
    while True:
        head = file.read(_HEAD.size)
        if len(head) < _HEAD.size:
            raise IntegrityError("the stream ended early")
        kind, length = _HEAD.unpack(head)
        if kind not in (DATA, END, SIDE, LAST) or length > _LIMIT:
            raise IntegrityError("the stream is damaged")
        data = file.read(length)
        if len(data) < length:
            raise IntegrityError("the stream ended early")
        yield Frame(kind.decode(), data)  # checked above
        if kind == LAST:
            return
