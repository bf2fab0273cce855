"""How does a tar become encrypted volumes? (the program of a child process)

    pg_basebackup ─► stdin │ tap ─► volumes of N bytes ─► zstd ─► age │ stdout ─► frames

Its standard input is the dump's own output: no byte of plaintext passes through the parent. It
does all the work that holds the interpreter (age never lets go of it), so that the parent's
uploads do not stall. Each volume is a whole age file around a whole zstd frame: by hand, the
volumes are decrypted one by one and what comes out is one tar. What the tap keeps for the next
backup follows as one more such object, the sidecar.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import sys
from collections.abc import Iterator
from typing import IO, Any

import pyrage
import zstandard

from sre.backup.frames import DATA, END, LAST, SIDE, write_frame, write_record
from sre.backup.sealing import Sealing
from sre.backup.tap import Tap, tap_of
from sre.core.clock import SystemClock

__all__ = ["main"]

_PIECE = 2**20
_SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ, which the standard library names from Python 3.10 on Linux


class _Tar:
    """The tar on a descriptor, passed through the tap."""

    def __init__(self, descriptor: int, tap: Tap) -> None:
        self._descriptor, self.tap = descriptor, tap
        self._clock = SystemClock()
        self._read = 0
        self._stopped: float | None = None

    def pieces(self) -> Iterator[bytes]:
        """What the tap lets through."""
        while piece := os.read(self._descriptor, _PIECE):
            self._read += len(piece)
            yield from self.tap.feed(piece)
            if self.tap.marked and self._stopped is None:
                self._stopped = self._clock.wall()
        yield from self.tap.end()

    def report(self) -> dict[str, Any]:
        """After the end: what was found."""
        return {"read": self._read, "stopped": self._stopped, **self.tap.report()}


class _Source:
    """Pieces of any size, handed out as they are asked for."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._ahead = b""
        self.total = 0

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


def _seal(source: _Source, out: IO[bytes], recipient: str, size: int, level: int) -> None:
    """One object of at most `size` plaintext bytes."""
    volume, frames = _Volume(source, size, level), _Frames(out)
    pyrage.encrypt_io(volume, frames, [pyrage.x25519.Recipient.from_str(recipient)])
    frames.flush()
    write_record(out, END, {"bytes": volume.size, "sha256": volume.hash.hexdigest()})


def main(sealing: Sealing) -> None:
    """Seal stdin to its end. Exits with an error on anything unusual; then nothing counts."""
    with contextlib.suppress(OSError):  # larger pipes save context switches; the limit may forbid
        fcntl.fcntl(0, _SET_PIPE_SIZE, _PIECE)
    tar, out = _Tar(0, tap_of(sealing.tapping, sealing.mark)), sys.stdout.buffer
    source = _Source(tar.pieces())
    while source.more():
        _seal(source, out, sealing.recipient, sealing.volume, sealing.level)
    if sealing.tapping.sidecar:
        aside = _Source(tar.tap.sidecar())
        if aside.more():
            write_record(out, SIDE, {})
            _seal(aside, out, sealing.tapping.sidecar, sys.maxsize, sealing.level)
    write_record(out, LAST, {"bytes": source.total, **tar.report()})


if __name__ == "__main__":
    main(Sealing.parse(sys.argv[1]))
