"""How does a tar become encrypted volumes? (the program of a child process)

    pg_basebackup ─► stdin │ volumes of N bytes ─► zstd ─► age │ stdout ─► frames

Its standard input is the dump's own output: no byte of plaintext passes through the parent. It
does all the work that holds the interpreter (age never lets go of it), so that the parent's
uploads do not stall. Each volume is a whole age file around a whole zstd frame: by hand, the
volumes are decrypted one by one and what comes out is one tar.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import sys
from collections.abc import Iterator
from typing import IO

import pyrage
import zstandard

from sre.backup.frames import DATA, END, LAST, write_frame, write_record
from sre.backup.tap import Tap, Whole
from sre.core.clock import SystemClock

__all__ = ["main"]

_PIECE = 2**20
_SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ, which the standard library names from Python 3.10 on Linux


class _Source:
    """What the tap lets through of the tar on stdin: at most `limit` bytes for each volume."""

    def __init__(self, descriptor: int, tap: Tap) -> None:
        self._descriptor, self.tap = descriptor, tap
        self._pieces = self._through()
        self._ahead = b""
        self._clock = SystemClock()
        self.read = 0
        self.total = 0
        self.stopped: float | None = None

    def _through(self) -> Iterator[bytes]:
        while piece := os.read(self._descriptor, _PIECE):
            self.read += len(piece)
            yield from self.tap.feed(piece)
            if self.tap.marked and self.stopped is None:
                self.stopped = self._clock.wall()
        yield from self.tap.end()

    def more(self) -> bool:
        """Whether there is another byte; waits for it."""
        while not self._ahead:
            piece = next(self._pieces, None)
            if piece is None:
                return False
            self._ahead = piece
        return True

    def take(self, most: int) -> bytes:
        """The next piece, at most `most` bytes; empty at the end."""
        if not self.more():
            return b""
        piece, self._ahead = self._ahead[:most], self._ahead[most:]
        self.total += len(piece)
        return piece


class _Volume:
    """What age reads: the compressed bytes of one volume, made as they are asked for."""

    def __init__(self, source: _Source, size: int, level: int) -> None:
        self._source, self._left = source, size
        self._squeeze = zstandard.ZstdCompressor(level=level, write_checksum=True).compressobj()
        self._ready = bytearray()
        self._ended = False
        self.hash = hashlib.sha256()
        self.size = 0

    def read(self, wanted: int = -1) -> bytes:
        while not self._ready and not self._ended:
            self._fill()
        piece = bytes(self._ready[:wanted]) if wanted >= 0 else bytes(self._ready)
        del self._ready[: len(piece)]
        return piece

    def _fill(self) -> None:
        piece = self._source.take(min(self._left, _PIECE)) if self._left else b""
        if piece:
            self.hash.update(piece)
            self.size += len(piece)
            self._left -= len(piece)
            self._ready += self._squeeze.compress(piece)
        else:
            self._ended = True
            self._ready += self._squeeze.flush()


class _Frames:
    """What age writes to: gathered into frames."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out, self._gathered = out, bytearray()

    def write(self, data: bytes) -> int:
        self._gathered += data
        if len(self._gathered) >= _PIECE:
            self.flush()
        return len(data)

    def flush(self) -> None:
        if self._gathered:
            write_frame(self._out, DATA, self._gathered)
            self._gathered.clear()


def main(recipient: str, volume_bytes: int, level: int, mark: str) -> None:
    """Seal stdin to its end. Exits with an error on anything unusual; then nothing counts."""
    to = [pyrage.x25519.Recipient.from_str(recipient)]
    with contextlib.suppress(OSError):  # larger pipes save context switches; the limit may forbid
        fcntl.fcntl(0, _SET_PIPE_SIZE, _PIECE)
    source, out = _Source(0, Whole(mark)), sys.stdout.buffer
    while source.more():
        volume, frames = _Volume(source, volume_bytes, level), _Frames(out)
        pyrage.encrypt_io(volume, frames, to)
        frames.flush()
        write_record(out, END, {"bytes": volume.size, "sha256": volume.hash.hexdigest()})
    found = {
        "read": source.read,
        "bytes": source.total,
        "stopped": source.stopped,
        **source.tap.report(),
    }
    write_record(out, LAST, found)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
