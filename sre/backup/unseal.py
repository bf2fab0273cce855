"""How do encrypted volumes become the tar again? (the program of a child process)

    frames ─► stdin │ age ─► zstd │ stdout ─► tar, or nowhere │ stderr: what each volume was

The first frame is the secret identity: it comes by pipe, never by argument. With `--check` the
plaintext is only hashed and a bad volume does not end the work; otherwise the plaintext goes to
standard output and the first fault ends it. Nobody may use that output before the last volume was
found good: age gives out plaintext before it notices a missing end.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

import pyrage
import zstandard

from sre.backup.frames import Frame, read_frames

__all__ = ["main"]

_WINDOW = 2**27  # a frame that asks for more memory was not written by us
_PIECE = 2**12  # of compressed data; it holds at most 128 MiB


class _Volume:
    """What age reads: the frames of one volume, up to its end."""

    def __init__(self, frames: Iterator[Frame], first: Frame) -> None:
        self._frames, self._data, self._at = frames, b"", 0
        self.ended = False
        self._take(first)

    def read(self, wanted: int = -1) -> bytes:
        while self._at >= len(self._data) and not self.ended:
            self._take(next(self._frames))
        end = len(self._data) if wanted < 0 else self._at + wanted
        piece = self._data[self._at : end]
        self._at += len(piece)
        return piece

    def drain(self) -> None:
        """Pass over what nobody read, so that the next volume begins where it begins."""
        while not self.ended:
            self._take(next(self._frames))

    def _take(self, frame: Frame) -> None:
        self.ended = frame.kind != "D"
        self._data, self._at = (b"" if self.ended else frame.data), 0


class _Plain:
    """What age writes to: decompressed, hashed, and passed on unless only checked."""

    def __init__(self, *, check: bool) -> None:
        self._check = check
        self._expand = zstandard.ZstdDecompressor(max_window_size=_WINDOW).decompressobj()
        self.hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        """In small pieces: what a few KiB may grow to fits into memory, whatever they claim."""
        for at in range(0, len(data), _PIECE):
            self._take(self._expand.decompress(data[at : at + _PIECE]))
        return len(data)

    def _take(self, plain: bytes) -> None:
        self.hash.update(plain)
        self.size += len(plain)
        if not self._check:
            view = memoryview(plain)
            while view:
                view = view[os.write(1, view) :]

    def flush(self) -> None:
        """Nothing is held back."""

    @property
    def whole(self) -> bool:
        """Whether the compressed frame had its end and nothing came after it."""
        return bool(self._expand.eof) and not self._expand.unused_data


def _open(volume: _Volume, identity: Any, *, check: bool) -> dict[str, Any]:
    plain = _Plain(check=check)
    try:
        pyrage.decrypt_io(volume, plain, [identity])
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001  whatever is wrong with it, it is this volume
        return {"error": f"{type(error).__name__}: {error}", "bytes": plain.size, "sha256": ""}
    fault = "" if plain.whole else "the compressed data has no end"
    return {"error": fault, "bytes": plain.size, "sha256": plain.hash.hexdigest()}


def main(*, check: bool) -> None:
    """Unseal stdin to its end; one line of JSON on stderr for each volume."""
    frames = read_frames(sys.stdin.buffer)
    identity = pyrage.x25519.Identity.from_str(next(frames).data.decode().strip())
    for frame in frames:
        if frame.kind == "L":
            return
        volume = _Volume(frames, frame)
        found = _open(volume, identity, check=check)
        volume.drain()
        sys.stderr.write(json.dumps(found) + "\n")
        sys.stderr.flush()
        if found["error"] and not check:
            sys.exit(1)


if __name__ == "__main__":
    main(check="--check" in sys.argv)
