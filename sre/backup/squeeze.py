"""Which of two ways compresses what comes next?

Level 3 costs much where it gains nothing: pages that resemble each other, as those of most tables
do, shrink as far with a small table of hashes of one kind. Where data is text, level 3 is better by
a fifth. So both are tried on one chunk in thirty-two, and the quick way is taken for those after it
where it gives hardly more; both make plain zstd frames.
"""

from __future__ import annotations

from typing import Protocol

import zstandard

__all__ = ["Squeeze"]

_TRIAL = 32
"""One chunk in so many is compressed both ways."""
_WORTH = 64
"""The quick way is taken while it gives at most 1/64 more bytes."""

_WINDOW = 18


class _Way(Protocol):
    def compress(self, data: memoryview, /) -> bytes: ...


class Squeeze:
    """Used by one thread, for chunks of up to `chunk` bytes, after one another."""

    def __init__(self, level: int, chunk: int) -> None:
        self._thorough: _Way = zstandard.ZstdCompressor(level=level)
        self._quick: _Way = _quick(chunk)
        self._now: _Way = self._thorough
        self._seen = 0

    def compress(self, data: memoryview) -> bytes:
        """One zstd frame."""
        trial = self._seen % _TRIAL == 0
        self._seen += 1
        if not trial:
            return self._now.compress(data)
        quick, thorough = self._quick.compress(data), self._thorough.compress(data)
        good = len(quick) <= len(thorough) + len(thorough) // _WORTH
        self._now = self._quick if good else self._thorough
        return min(quick, thorough, key=len)


def _quick(chunk: int) -> zstandard.ZstdCompressor:
    """As level 1, with four times the table and no further back than the cache holds."""
    settings = zstandard.ZstdCompressionParameters(
        window_log=min(max(chunk - 1, 1023).bit_length(), _WINDOW),
        chain_log=15,
        hash_log=15,
        search_log=1,
        min_match=6,
        target_length=0,
        strategy=zstandard.STRATEGY_FAST,
        write_content_size=1,
    )
    return zstandard.ZstdCompressor(compression_params=settings)
