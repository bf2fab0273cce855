"""How many runs were good, slow or bad, minute by minute, for three months, in bounded space?

Each event is counted in its minute and in its hour. Minutes are kept for two days, hours for
ninety; minutes leave an hour at a time, so an hour is known either by all its minutes or as a
whole. Room is bounded by number, not by age: a clock that jumps ahead forgets nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

__all__ = ["HOURS", "MINUTES", "Cell", "Track"]

MINUTE, HOUR = 60, 3600
MINUTES = 2 * 24 * 60
HOURS = 90 * 24

_AHEAD = HOUR
"""Seconds by which a cell may lie in the future before the clock that wrote it counts as wrong."""


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


class Track:
    """The counts of one subject.

    Attributes:
        fine_from: from here on every event is in its minute too.
    """

    def __init__(self) -> None:
        self.minutes: dict[int, Cell] = {}
        self.hours: dict[int, Cell] = {}
        self.fine_from = 0

    def add(self, cell: Cell, now: float) -> None:
        """Count what ended at `now`."""
        minute, hour = _start(now, MINUTE), _start(now, HOUR)
        self._forget(now)
        self.hours[hour] = self.hours.get(hour, Cell()).plus(cell)
        if minute >= self.fine_from:
            self.minutes[minute] = self.minutes.get(minute, Cell()).plus(cell)
        self._shrink()

    def cells(self, now: float) -> Iterator[tuple[int, int, Cell]]:
        """(start, end, cell) of everything up to `now`, no event twice, in no order."""
        for start, cell in self.hours.items():
            if start <= now and start < self.fine_from:
                yield start, start + HOUR, cell
        for start, cell in self.minutes.items():
            if start <= now:
                yield start, start + MINUTE, cell

    def last(self, seconds: int, width: int, now: float) -> list[Cell]:
        """The minutes of the last `seconds` up to now's, in spans of `width`, oldest first."""
        end = _start(now, MINUTE) + MINUTE
        return [_sum(self.minutes, start, width) for start in range(end - seconds, end, width)]

    def since(self, now: float) -> float | None:
        """Where the history begins."""
        return min((start for start, _, _ in self.cells(now)), default=None)

    def touched(self) -> int:
        """The start of the latest hour that has events; 0 without any."""
        return max(self.hours, default=0)

    def as_data(self) -> dict[str, Any]:
        """For the state file: columns, which compress well."""
        return {
            "fine_from": self.fine_from,
            "minutes": _columns(self.minutes),
            "hours": _columns(self.hours),
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Track:
        """The same again. Raises KeyError, TypeError or ValueError when it is not one."""
        track = cls()
        track.fine_from = _natural(data["fine_from"])
        track.minutes = _cells(data["minutes"], MINUTE)
        track.hours = _cells(data["hours"], HOUR)
        track._coarsen(track.fine_from)
        track._shrink()
        return track

    def _forget(self, now: float) -> None:
        """What a wrong clock wrote into the future would stay the newest for ever."""
        for cells in (self.minutes, self.hours):
            if cells and next(reversed(cells)) > now + _AHEAD:
                for start in [start for start in cells if start > now + _AHEAD]:
                    del cells[start]
        if self.fine_from > now + _AHEAD:
            self._coarsen(_start(now, HOUR) + HOUR)

    def _shrink(self) -> None:
        while len(self.minutes) > MINUTES:
            self._coarsen(_start(min(self.minutes), HOUR) + HOUR)
        while len(self.hours) > HOURS:
            del self.hours[min(self.hours)]

    def _coarsen(self, until: int) -> None:
        """Before `until`, events are known by the hour only."""
        self.fine_from = until
        for start in [start for start in self.minutes if start < until]:
            del self.minutes[start]


def _sum(minutes: Mapping[int, Cell], start: int, width: int) -> Cell:
    found = [minutes[at] for at in range(start, start + width, MINUTE) if at in minutes]
    if len(found) <= 1:
        return found[0] if found else Cell()
    good, slow, bad, micros = zip(*found, strict=True)
    return Cell(sum(good), sum(slow), sum(bad), sum(micros))


def _start(moment: float, width: int) -> int:
    return int(moment // width) * width


def _columns(cells: Mapping[int, Cell]) -> list[list[int]]:
    rows = [(start, *cell) for start, cell in sorted(cells.items())]
    return [list(column) for column in zip(*rows, strict=True)]


def _cells(columns: Sequence[Sequence[int]], width: int) -> dict[int, Cell]:
    if not columns:
        return {}
    starts, *counts = columns
    if len(counts) != len(Cell._fields) or any(_natural(s) % width for s in starts):
        raise ValueError("not columns of cells")
    rows = zip(*counts, strict=True)
    return {
        start: Cell(*map(_natural, row)) for start, row in sorted(zip(starts, rows, strict=True))
    }


def _natural(number: object) -> int:
    if type(number) is not int or number < 0:
        raise ValueError(f"{number!r} is not a count")
    return number
