"""How many runs were good, slow or bad, minute by minute, for three months, in bounded space?

Each event is counted in its minute and in its hour. Minutes are kept for two days, hours for
ninety; minutes leave an hour at a time, so an hour is known either by all its minutes or as a
whole. Room is bounded by number, not by age: a clock that jumps ahead forgets nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sre.page.cells import Cell, Cells

__all__ = ["FULL", "HOURS", "MINUTES", "Cell", "Room", "Track"]

MINUTE, HOUR = 60, 3600
MINUTES = 2 * 24 * 60
HOURS = 90 * 24

Room = tuple[int, int]
"""The most minutes and hours that a track keeps."""

FULL: Room = (MINUTES, HOURS)

_AHEAD = HOUR
"""Seconds by which a cell may lie in the future before the clock that wrote it counts as wrong."""


class Track:
    """The counts of one subject.

    Attributes:
        room: the most cells that it keeps; may be changed at any time.
        fine_from: from here on every event is in its minute too.
    """

    __slots__ = ("fine_from", "hours", "minutes", "room")

    def __init__(self, room: Room = FULL) -> None:
        self.minutes = Cells()
        self.hours = Cells()
        self.fine_from = 0
        self.room = room

    def add(self, cell: Cell, now: float) -> None:
        """Count what ended at `now`."""
        minute, hour = _start(now, MINUTE), _start(now, HOUR)
        self._forget(now)
        self.hours[hour] = self.hours.get(hour, _NOTHING).plus(cell)
        if minute >= self.fine_from:
            self.minutes[minute] = self.minutes.get(minute, _NOTHING).plus(cell)
        self._shrink()

    def cells(self, now: float) -> Iterator[tuple[int, int, Cell]]:
        """(start, end, cell) of everything up to `now`, no event twice, the oldest first."""
        now = int(now // 1) + 1
        for start, cell in self.hours.between(0, min(now, self.fine_from)):
            yield start, start + HOUR, cell
        for start, cell in self.minutes.between(0, now):
            yield start, start + MINUTE, cell

    def last(self, seconds: int, width: int, now: float) -> list[Cell]:
        """The last `seconds` up to now's minute, in spans of `width`, oldest first.

        Where only hours are known, all that a span has a part in counts for it.
        """
        end = _start(now, MINUTE) + MINUTE
        return [self._span(start, start + width) for start in range(end - seconds, end, width)]

    def since(self, now: float) -> float | None:
        """Where the history begins."""
        return next((start for start, _, _ in self.cells(now)), None)

    def touched(self) -> int:
        """The start of the latest hour that has events; 0 without any."""
        return self.hours.newest

    def as_data(self) -> dict[str, Any]:
        """For the state file: columns, which compress well."""
        return {
            "fine_from": self.fine_from,
            "minutes": self.minutes.columns(),
            "hours": self.hours.columns(),
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

    def _span(self, start: int, end: int) -> Cell:
        found = [cell for _, cell in self.minutes.between(start, end)]
        if start < self.fine_from:
            first = _start(start, HOUR)
            found += [cell for _, cell in self.hours.between(first, min(end, self.fine_from))]
        if len(found) <= 1:
            return found[0] if found else _NOTHING
        good, slow, bad, micros = zip(*found, strict=True)
        return Cell(sum(good), sum(slow), sum(bad), sum(micros))

    def _forget(self, now: float) -> None:
        """What a wrong clock wrote into the future would stay the newest for ever."""
        for cells in (self.minutes, self.hours):
            if cells.newest > now + _AHEAD:
                cells.drop_from(int(now + _AHEAD) + 1)
        if self.fine_from > now + _AHEAD:
            self._coarsen(_start(now, HOUR) + HOUR)

    def _shrink(self) -> None:
        minutes, hours = self.room
        while len(self.minutes) > minutes:
            self._coarsen(_start(self.minutes.first, HOUR) + HOUR)
        while len(self.hours) > hours:
            self.hours.drop_before(self.hours.first + 1)

    def _coarsen(self, until: int) -> None:
        """Before `until`, events are known by the hour only."""
        self.fine_from = until
        self.minutes.drop_before(until)


_NOTHING = Cell()


def _start(moment: float, width: int) -> int:
    return int(moment // width) * width


def _cells(columns: Sequence[Sequence[int]], width: int) -> Cells:
    for column in columns:
        for number in column:
            _natural(number)
    if columns and any(start % width for start in columns[0]):
        raise ValueError("not columns of cells")
    return Cells.of(columns)


def _natural(number: object) -> int:
    if type(number) is not int or number < 0:
        raise ValueError(f"{number!r} is not a count")
    return number
