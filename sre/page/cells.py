"""How are ten thousand probes' counts kept in little memory? Columns of numbers, sorted by time.

A dict of tuples takes some 250 bytes a cell, five columns take 40.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, MutableMapping, Sequence
from typing import NamedTuple

__all__ = ["Cell", "Cells"]


class Cell(NamedTuple):
    """Events of one span of time; each is one of good, slow and bad.

    Attributes:
        micros: microseconds that the good and slow ones took together.
    """

    good: int = 0
    slow: int = 0
    bad: int = 0
    micros: int = 0

    @property
    def total(self) -> int:
        """All events."""
        return self.good + self.slow + self.bad

    @property
    def mean(self) -> float | None:
        """Seconds that one took on average; None when none ended well."""
        count = self.good + self.slow
        return self.micros / count / 1e6 if count else None

    def plus(self, other: Cell) -> Cell:
        """Both together."""
        return Cell(
            self.good + other.good,
            self.slow + other.slow,
            self.bad + other.bad,
            self.micros + other.micros,
        )


class Cells(MutableMapping[int, Cell]):
    """Start of a span (seconds since the epoch) -> its cell, the oldest first."""

    __slots__ = ("_starts", "_values")

    def __init__(self) -> None:
        self._starts = array("q")
        self._values = tuple(array("q") for _ in Cell._fields)

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[int]:
        return iter(self._starts)

    def __getitem__(self, start: int) -> Cell:
        at = self._at(start)
        if at is None:
            raise KeyError(start)
        return self._cell(at)

    def __setitem__(self, start: int, cell: Cell) -> None:
        at = self._at(start)
        if at is None:
            at = bisect_left(self._starts, start)
            self._starts.insert(at, start)
            for column, number in zip(self._values, cell, strict=True):
                column.insert(at, number)
        else:
            for column, number in zip(self._values, cell, strict=True):
                column[at] = number

    def __delitem__(self, start: int) -> None:
        at = self._at(start)
        if at is None:
            raise KeyError(start)
        self._cut(at, at + 1)

    @property
    def first(self) -> int:
        """The oldest start; 0 without any."""
        return self._starts[0] if self._starts else 0

    @property
    def newest(self) -> int:
        """The latest start; 0 without any."""
        return self._starts[-1] if self._starts else 0

    def drop_before(self, start: int) -> None:
        """Forget what begins before `start`."""
        self._cut(0, bisect_left(self._starts, start))

    def drop_from(self, start: int) -> None:
        """Forget what begins at `start` or later."""
        self._cut(bisect_left(self._starts, start), len(self._starts))

    def between(self, start: int, end: int) -> Iterator[tuple[int, Cell]]:
        """What begins at `start` or later and before `end`, oldest first."""
        for at in range(bisect_left(self._starts, start), bisect_left(self._starts, end)):
            yield self._starts[at], self._cell(at)

    def columns(self) -> list[list[int]]:
        """For a file: the starts, then each number of the cells; empty when there is nothing."""
        return [column.tolist() for column in (self._starts, *self._values)] if self else []

    @classmethod
    def of(cls, columns: Sequence[Sequence[int]]) -> Cells:
        """The same again, in any order. Raises ValueError when these are no columns of cells."""
        cells = cls()
        if not columns:
            return cells
        starts, *counts = columns
        if len(counts) != len(Cell._fields):
            raise ValueError("not columns of cells")
        for start, *row in sorted(zip(starts, *counts, strict=True)):
            cells[start] = Cell(*row)
        return cells

    def _at(self, start: int) -> int | None:
        if self._starts and self._starts[-1] == start:
            return len(self._starts) - 1
        at = bisect_left(self._starts, start)
        return at if at < len(self._starts) and self._starts[at] == start else None

    def _cell(self, at: int) -> Cell:
        good, slow, bad, micros = self._values
        return Cell(good[at], slow[at], bad[at], micros[at])

    def _cut(self, begin: int, end: int) -> None:
        for column in (self._starts, *self._values):
            del column[begin:end]
