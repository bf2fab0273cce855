"""How does a tar get from where it comes, through a tap, into buffers that are used over again?"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from typing import Any, Protocol

from sre.backup.tap import Looking, Tap
from sre.core.clock import SystemClock

__all__ = ["Filling", "Pieces", "Pipe", "Straight", "Tar", "wide"]

_PIECE = 2**20
_NONE = memoryview(b"")
_SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ, which the standard library names from Python 3.10 on Linux


def wide(descriptor: int) -> None:
    """Make a pipe larger, which saves context switches; the system's limit may forbid it."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(descriptor, _SET_PIPE_SIZE, _PIECE)


class Filling(Protocol):
    """Where bytes come from."""

    def fill(self, view: memoryview) -> int:
        """As many bytes as fit; fewer at the end, then 0."""
        ...


class Pipe:
    """What another program writes.

    A pipe gives what one write of the dump put there, 32 KiB or so: too little to look at.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fill(self, view: memoryview) -> int:
        """As many bytes as fit; fewer at the end, then 0."""
        at = 0
        while at < len(view) and (count := os.readv(self._descriptor, [view[at:]])):
            at += count
        return at


class Tar:
    """A tar, and what is known of it at its end."""

    def __init__(self, source: Filling, tap: Tap) -> None:
        self.read, self._tap = source.fill, tap
        self._clock = SystemClock()
        self._read = 0
        self._stopped: float | None = None

    def seen(self, count: int) -> None:
        """The tap has looked at so many more bytes."""
        self._read += count
        if self._stopped is None and self._tap.marked:
            self._stopped = self._clock.wall()

    def tapped(self) -> Iterator[bytes | memoryview]:
        """What the tap lets through."""
        view = memoryview(bytearray(_PIECE))
        while count := self.read(view):
            yield from self._tap.feed(view[:count])
            self.seen(count)
        yield from self._tap.end()

    def report(self) -> dict[str, Any]:
        """After the end: what was found."""
        return {"read": self._read, "stopped": self._stopped, **self._tap.report()}


class Straight:
    """A tar that is stored as it comes: read into the buffers themselves, where the tap looks."""

    def __init__(self, tar: Tar, tap: Looking) -> None:
        self._tar, self._tap = tar, tap

    def fill(self, view: memoryview) -> int:
        """As many bytes as fit; fewer at the end, then 0."""
        count = self._tar.read(view)
        if count:
            self._tap.look(view[:count])
            self._tar.seen(count)
        return count


class Pieces:
    """Pieces of any size."""

    def __init__(self, pieces: Iterator[bytes | memoryview]) -> None:
        self._pieces = pieces
        self._ahead = _NONE

    def more(self) -> bool:
        """Whether there is another byte; waits for it."""
        while not self._ahead:
            piece = next(self._pieces, None)
            if piece is None:
                return False
            self._ahead = memoryview(piece)
        return True

    def fill(self, view: memoryview) -> int:
        """As many bytes as fit; fewer at the end, then 0."""
        at, room, ahead = 0, len(view), self._ahead
        while at < room:
            count = len(ahead)
            if not count:
                piece = next(self._pieces, None)
                if piece is None:
                    break
                ahead = memoryview(piece)
            elif count <= room - at:
                view[at : at + count] = ahead
                at, ahead = at + count, _NONE
            else:
                view[at:], ahead = ahead[: room - at], ahead[room - at :]
                at = room
        self._ahead = ahead
        return at
