"""How much of an answer's body is taken, decoded as the module says, and kept for matching?"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

__all__ = ["LARGEST_MATCHED", "Body", "Unreadable"]

LARGEST_MATCHED = 16 * 2**20
"""Bytes that an expression is matched against at most, when the module names no limit itself."""

_PIECE = 2**16
_WINDOWS = {"gzip": 31, "deflate": -15}


class Unreadable(Exception):
    """The body is not what the module's `compression` promises, or larger than its limit."""


class Body:
    """Takes an answer's body piece by piece; counts all of it, keeps it only if told to.

    Args:
        compression: what the module says; `br` is decoded by libcurl before it comes here.
        limit: bytes after decompression; 0 is none.
        keep: whether the text is needed.
    """

    def __init__(self, compression: str, limit: int, *, keep: bool) -> None:
        self._window = _WINDOWS.get(compression.lower())
        self._decoder = self._fresh()
        self._limit = limit or (LARGEST_MATCHED if keep else 0)
        self._keep = keep
        self._kept: list[bytes] = []
        self._begun = False
        self.size = 0

    @property
    def text(self) -> bytes:
        """What was kept."""
        return b"".join(self._kept)

    def take(self, chunk: bytes) -> None:
        """The next piece from the wire.

        Raises:
            Unreadable: it cannot be decoded, or the limit is passed.
        """
        try:
            for piece in self._decoded(chunk):
                room = self._limit - self.size if self._limit else len(piece)
                self.size += min(room, len(piece))
                if self._keep:
                    self._kept.append(piece[:room])
                if len(piece) > room:
                    raise Unreadable(f"the body is larger than {self._limit} bytes")
        except zlib.error as error:
            raise Unreadable(f"the body cannot be decompressed: {error}") from error

    def finish(self) -> None:
        """The last piece has come.

        Raises:
            Unreadable: the compressed text ends too early.
        """
        if self._decoder is not None and not (self._decoder.eof and self._begun):
            raise Unreadable("the compressed body ends too early")

    def _fresh(self) -> zlib._Decompress | None:
        return None if self._window is None else zlib.decompressobj(self._window)

    def _decoded(self, chunk: bytes) -> Iterator[bytes]:
        if self._decoder is None:
            yield chunk
            return
        while chunk:
            if self._decoder.eof:
                if self._window != _WINDOWS["gzip"]:
                    return  # what follows a deflate stream is nobody's
                self._decoder = zlib.decompressobj(_WINDOWS["gzip"])
            self._begun = True
            piece = self._decoder.decompress(chunk, _PIECE)
            if piece:
                yield piece
            chunk = (
                self._decoder.unused_data if self._decoder.eof else self._decoder.unconsumed_tail
            )
