"""From a position on, how far does the log reach without a hole, and where are the holes?

Pure: names in a store against the way of the timelines.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sre.backup.log.layout import Item
from sre.backup.log.lsn import begin_of, name_of, number_at, number_of
from sre.backup.log.timelines import Way

__all__ = ["Coverage", "Gap", "Held", "cover"]


@dataclass(frozen=True)
class Gap:
    """Segments that are missing between two that are there.

    Attributes:
        first, last: their names; the same when it is one.
        begin, end: the positions between which nothing can be replayed.
    """

    timeline: int
    first: str
    last: str
    begin: int
    end: int
    segments: int


@dataclass(frozen=True)
class Held:
    """What is committed in a store, by (timeline, number) of the segment.

    Attributes:
        size: bytes of a whole segment.
        partial: the longest beginning of each that is there in part.
    """

    size: int
    whole: frozenset[tuple[int, int]] = frozenset()
    partial: Mapping[tuple[int, int], Item] = field(default_factory=dict)

    @staticmethod
    def of(items: Iterable[Item], size: int) -> Held:
        """From what a list of the store names."""
        whole, partial = set[tuple[int, int]](), dict[tuple[int, int], Item]()
        for item in items:
            if item.kind == "history":
                continue
            place = item.timeline, number_of(item.segment, size)
            if item.kind == "segment":
                whole.add(place)
            elif place not in partial or item.bytes > partial[place].bytes:
                partial[place] = item
        return Held(size, frozenset(whole), partial)

    def numbers(self, way: Way) -> list[int]:
        """The segments that lie on a way, ascending."""
        on_way = {timeline for timeline, _ in way.begins()}
        found = {number for timeline, number in (*self.whole, *self.partial) if timeline in on_way}
        return sorted(number for number in found if self.piece(way, number) is not None)

    def piece(self, way: Way, number: int) -> tuple[Item, int] | None:
        """What to read for a segment, and the position to which that leads.

        The newest timeline's, and of it the whole one; an older one's leads to its switch at most.
        """
        begin, begins = begin_of(number, self.size), way.begins()
        for index in range(len(begins) - 1, -1, -1):
            timeline, since = begins[index]
            left = begins[index + 1][1] if index + 1 < len(begins) else None
            if number_at(since, self.size) > number or (left is not None and left <= begin):
                continue
            found = self._best(timeline, number)
            if found is not None:
                end = begin + (found.bytes if found.kind == "partial" else self.size)
                return found, end if left is None else min(end, left)
        return None

    def _best(self, timeline: int, number: int) -> Item | None:
        if (timeline, number) in self.whole:
            return Item(name_of(timeline, number, self.size), "segment")
        return self.partial.get((timeline, number))


@dataclass(frozen=True)
class Coverage:
    """How far the log reaches from `begin`.

    Attributes:
        end: the position up to which nothing is missing; `begin` itself when nothing is there.
        last: the end of the newest piece, holes or not.
        gaps: every hole between `begin` and `last`.
        items: what to read, in order, up to `end`.
    """

    way: Way
    begin: int
    end: int
    last: int
    gaps: tuple[Gap, ...]
    items: tuple[Item, ...]

    @property
    def whole(self) -> bool:
        """Nothing is missing between the first and the last position."""
        return not self.gaps


def cover(held: Held, way: Way, begin: int) -> Coverage:
    """Walk a way from a position (on it) to the newest piece."""
    size, first = held.size, number_at(begin, held.size)
    end, last, gaps, items = begin, begin, list[Gap](), list[Item]()
    for number in [each for each in held.numbers(way) if each >= first]:
        piece = held.piece(way, number)
        assert piece is not None  # noqa: S101  numbers() names those that have one
        item, reach = piece
        start = max(begin, begin_of(number, size))
        if start > last:  # the piece before ended early, or whole segments are missing
            gaps.append(_gap(way, size, last, start))
        elif not gaps:
            items.append(item)
            end = max(end, reach)
        last = max(last, reach)
    return Coverage(way, begin, end, last, tuple(gaps), tuple(items))


def _gap(way: Way, size: int, begin: int, end: int) -> Gap:
    first, last = number_at(begin, size), number_at(end - 1, size)
    names = [name_of(way.timeline_of(each, size), each, size) for each in (first, last)]
    return Gap(int(names[0][:8], 16), names[0], names[1], begin, end, last - first + 1)
