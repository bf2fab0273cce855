"""How is a log read on from where it was left: each line once, through rotation and truncation?

What is left of files that were rotated away is read first, then those that came between, then the
log itself. A renamed file is watched for ten minutes more: its writer may still be at it. A line
counts when its end is there; one longer than `MAX_LINE` is thrown away piece by piece.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import IO

from sre.core.accesslog import MAX_LINE
from sre.probes.logplace import (
    BROKEN,
    LogFile,
    Moved,
    Place,
    generations,
    locate,
    place_in,
    refused,
)

__all__ = ["Follower"]

_CHUNK = 256 * 2**10
_WATCHED = 600.0
"""Seconds for which a renamed file that is read to its end is looked at for more."""

_MAX_WATCHED = 8
"""How many renamed files are looked at; only the newest of them is still written to."""

_Link = tuple[LogFile, Place | None, int, bool]
"""A file to read, its place if it is known, where to begin, and whether inside a torn line."""


class Follower:
    """One look at a log: hand out the lines that are new, know the places afterwards.

    Attributes:
        places: up to where everything was read, oldest file first; valid after `batches` ended.
        lag: bytes that are there and were not read; of compressed files as they lie on the disk.
        gaps: how often a place could not be found again, so that lines may have been missed.
        overlong: lines that were thrown away.
        found: whether the log itself is there.
    """

    def __init__(
        self,
        path: Path,
        places: tuple[Place, ...],
        *,
        max_bytes: int,
        now: float,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.places = places
        self.lag = self.gaps = self.overlong = 0
        self.found = False
        self._path, self._max, self._now, self._stop = path, max_bytes, now, stop
        self._left = max_bytes

    def batches(self) -> Iterator[bytes]:
        """Whole lines, many at a time, separated by line feeds.

        Raises:
            Unreadable: the log is there and cannot be read.
        """
        chain = self._chained()
        kept: list[Place] = []
        for number, (one, _, offset, torn) in enumerate(chain, start=1):
            try:
                with one.open() as file:
                    reached = yield from self._read(one, file, offset, torn=torn)
            except Moved:
                kept += [each for _, each, _, _ in chain[number - 1 :] if each is not None]
                break
            except BROKEN as error:
                if one.current:
                    raise refused(one.path, error) from error
                self.gaps += 1
                continue
            newest = number == len(chain) or not any(later.size for later, *_ in chain[number:])
            if newest or self._may_grow(one, reached, len(chain) - number):
                kept.append(reached)
        self.places = tuple(kept) or self.places

    def _chained(self) -> list[_Link]:
        """The chain, made anew when a rotation took place while it was made."""
        for _ in range(5):
            gaps = self.gaps
            try:
                return self._chain()
            except Moved:
                self.gaps = gaps
        return []

    def _chain(self) -> list[_Link]:
        """The files to read, oldest first. Raises Moved."""
        files = generations(self._path)
        current = next((one for one in files if one.current), None)
        self.found = current is not None
        if not self.places:
            return [_newest(current, self._max)] if current else []
        chain: list[_Link] = []
        last: LogFile | None = None
        for place in filter(_is_marked, self.places):
            left = [one for one in files if all(one is not taken for taken, *_ in chain)]
            last = locate(place, left)
            if last is not None:
                chain.append((last, place, place.offset, place.torn))
            elif place is self.places[-1] or not place.whole:
                self.gaps += 1
        known = {id(one) for one, *_ in chain}
        fresh = [one for one in files if id(one) not in known and self._is_new(one, last)]
        return chain + [(one, None, 0, False) for one in fresh]

    def _is_new(self, one: LogFile, last: LogFile | None) -> bool:
        """Whether a file came after the newest one that was known at the last look."""
        if one.current:
            return True
        if last is None:
            return one.modified > self.places[-1].modified
        return not last.current and one.order > last.order

    def _may_grow(self, one: LogFile, place: Place, later: int) -> bool:
        """Whether a file that is not the newest has to be looked at again."""
        if not place.whole and self._left <= 0:
            return True
        recent = self._now - place.modified / 1e9 < _WATCHED
        return not one.packed and recent and later <= _MAX_WATCHED

    def _read(
        self, one: LogFile, file: IO[bytes], offset: int, *, torn: bool
    ) -> Generator[bytes, None, Place]:
        """Whole lines from `offset` on; returns the place where it ended."""
        file.seek(offset)
        rest, ended = b"", False
        while self._left > 0 and not ended:
            if self._stop():
                self._left = 0
                break
            chunk = file.read(min(_CHUNK, max(4096, self._left)))
            ended = not chunk
            whole, rest, used, torn = self._cut(rest + chunk, torn=torn)
            offset += used
            self._left -= used
            if whole:
                yield whole
        place = place_in(one, file, offset, torn=torn, whole=ended)
        size = os.fstat(file.fileno()).st_size
        self.lag += (0 if ended else size) if one.packed else max(0, size - offset)
        return place

    def _cut(self, data: bytes, *, torn: bool) -> tuple[bytes, bytes, int, bool]:
        """Whole lines; the rest to be kept; how many bytes are done with; inside a torn line?

        NUL bytes at a line's beginning are the hole that a truncation leaves under a writer that
        does not append.
        """
        end = data.rfind(b"\n") + 1
        whole, rest = data[:end], data[end:]
        if torn and end:
            whole, torn = whole[whole.index(b"\n") + 1 :], False
        if torn:
            return b"", b"", len(data), True
        kept = rest.lstrip(b"\0")
        used = end + len(rest) - len(kept)
        if len(kept) <= MAX_LINE:
            return whole, kept, used, False
        self.overlong += 1
        return whole, b"", len(data), True


def _newest(current: LogFile, most: int) -> _Link:
    """Where a log that was never read is begun: at its newest lines, as many as one look takes."""
    start = current.size - most
    return (current, None, start - 1, True) if start > 0 else (current, None, 0, False)


def _is_marked(place: Place) -> bool:
    """Whether something stands in the file by which it is known again.

    What comes of an empty one is told from the file before it, which is kept until then.
    """
    return place.head[0] > 0
