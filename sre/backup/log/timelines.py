"""Which way did a server's timelines go, and which segments lie on the way to one of them?

Pure. A promotion begins a new timeline; its `.history` names every switch before it. The segment in
which it branched off exists on both, and the newer one holds the older one's beginning as well: it
alone is read, as PostgreSQL does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from sre.backup.log.lsn import number_at, parse_lsn
from sre.core.errors import IntegrityError

__all__ = ["Switch", "Way", "newest_after", "parse_history", "way_to"]

_LINE = re.compile(r"\s*(\d+)\s+([0-9A-Fa-f]+/[0-9A-Fa-f]+)(?:\s.*)?")


@dataclass(frozen=True)
class Switch:
    """A timeline ended at `lsn`, where the next one began."""

    timeline: int
    lsn: int


def parse_history(text: str) -> tuple[Switch, ...]:
    """The switches in a `.history`, oldest first; timelines are decimal in there.

    Raises IntegrityError when it is none.
    """
    found: list[Switch] = []
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise IntegrityError(f"not a line of a timeline's history: {line[:80]!r}")
        found.append(Switch(int(match[1]), parse_lsn(match[2])))
    ordered = all(a.timeline < b.timeline and a.lsn <= b.lsn for a, b in pairwise(found))
    if not ordered:
        raise IntegrityError("a timeline's history that goes back")
    return tuple(found)


@dataclass(frozen=True)
class Way:
    """From the first timeline to `timeline`, through its switches."""

    timeline: int
    switches: tuple[Switch, ...] = ()

    def begins(self) -> tuple[tuple[int, int], ...]:
        """(timeline, the position where it begins), oldest first."""
        timelines = [*(each.timeline for each in self.switches), self.timeline]
        return tuple(zip(timelines, [0, *(each.lsn for each in self.switches)], strict=True))

    def timeline_of(self, number: int, size: int) -> int:
        """The timeline on which the segment with this number is read."""
        fitting = [tl for tl, lsn in self.begins() if number_at(lsn, size) <= number]
        return fitting[-1]

    def holds(self, timeline: int, lsn: int) -> bool:
        """Whether a position of a timeline is on the way: it was not left before."""
        for each in self.switches:
            if each.timeline == timeline:
                return lsn <= each.lsn
        return timeline == self.timeline


def way_to(timeline: int, histories: Mapping[int, tuple[Switch, ...]]) -> Way:
    """The way to a timeline; without its history only itself is known."""
    return Way(timeline, histories.get(timeline, ()))


def newest_after(timeline: int, lsn: int, histories: Mapping[int, tuple[Switch, ...]]) -> Way:
    """The way to the newest timeline that passes a position: `latest` of PostgreSQL."""
    ways = [way_to(each, histories) for each in sorted({timeline, *histories})]
    return [way for way in ways if way.holds(timeline, lsn)][-1]
