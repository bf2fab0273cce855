"""How is a compressed stream expanded in constant memory, whatever it expands to?"""

from __future__ import annotations

import queue
from dataclasses import dataclass
from typing import Any

import zstandard

__all__ = ["Expander", "Verdict"]

_BUFFERS = 12
_BUFFER = 2**20
_WINDOW = 2**27  # a frame that asks for more memory was not written by us


@dataclass(frozen=True)
class Verdict:
    """The end of a volume; `error` is empty when all of it could be expanded."""

    error: str


class Expander:
    """Volumes one after another: `add` and `end` in one thread, `run` in a second.

    Attributes:
        out: buffers with their count of bytes, a Verdict after each volume, None at the end; for a
            third thread, which puts the buffers back into `free`.
    """

    def __init__(self, queued: int) -> None:
        self._in: queue.Queue[bytes | Verdict | None] = queue.Queue(queued)
        self.free: queue.SimpleQueue[bytearray] = queue.SimpleQueue()
        self.out: queue.SimpleQueue[tuple[bytearray, int] | Verdict | None] = queue.SimpleQueue()
        for _ in range(_BUFFERS):
            self.free.put(bytearray(_BUFFER))

    def add(self, data: bytes) -> None:
        """The next piece of the volume."""
        if data:
            self._in.put(data)

    def end(self, error: str) -> None:
        """The volume has ended; with what is wrong with it."""
        self._in.put(Verdict(error))

    def last(self) -> None:
        """There are no more volumes."""
        self._in.put(None)

    def run(self) -> None:
        """Expand until the last."""
        while (item := self._in.get()) is not None:
            if isinstance(item, Verdict):  # an empty volume
                self.out.put(item)
                continue
            source = _Source(item, self._in)
            error = self._expand(source)
            verdict = source.drain()
            self.out.put(verdict if verdict.error else Verdict(error))
        self.out.put(None)

    def _expand(self, source: _Source) -> str:
        stream: Any = source  # it has `read`, which is all that is asked of it
        reader = zstandard.ZstdDecompressor(max_window_size=_WINDOW).stream_reader(
            stream, read_size=_BUFFER, read_across_frames=True
        )
        while True:
            buffer = self.free.get()
            try:
                count = reader.readinto(buffer)
            except zstandard.ZstdError as error:
                self.free.put(buffer)
                return f"the compressed data is damaged: {error}"
            if not count:
                self.free.put(buffer)
                return ""
            self.out.put((buffer, count))


class _Source:
    """What zstd reads: the pieces of one volume up to its verdict."""

    def __init__(self, first: bytes, pieces: queue.Queue[bytes | Verdict | None]) -> None:
        self._ahead, self._pieces = first, pieces
        self._verdict: Verdict | None = None

    def read(self, most: int) -> bytes:
        """The next bytes; empty at the end of the volume."""
        if not self._ahead and self._verdict is None:
            self._take()
        piece, self._ahead = self._ahead[:most], self._ahead[most:]
        return piece

    def drain(self) -> Verdict:
        """Pass over what nobody read."""
        while self._verdict is None:
            self._take()
        return self._verdict

    def _take(self) -> None:
        item = self._pieces.get()
        if isinstance(item, bytes):
            self._ahead = item
        else:
            self._ahead, self._verdict = b"", item
