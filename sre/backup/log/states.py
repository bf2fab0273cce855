"""Which segments are in the store, on their way, late, or lost?

Pure. The words are WAL-G's: FOUND; UPLOADING (in the spool here, or being written); DELAYED (the
server still has it, nobody has stored it yet); LOST (the server has removed it, or an archiver has
passed it: it was removed from the store).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sre.backup.log.coverage import Held
from sre.backup.log.lsn import begin_of, name_of, number_at
from sre.backup.log.timelines import Way

__all__ = ["Stretch", "stretches"]


@dataclass(frozen=True)
class Stretch:
    """Neighbouring segments of one timeline in one state; `begin` and `end` are positions."""

    timeline: int
    state: str
    first: str
    last: str
    begin: int
    end: int
    segments: int


def stretches(
    held: Held, way: Way, begin: int, current: int | None, kept: int | None, spool: Collection[str]
) -> list[Stretch]:
    """From a position to where the server writes.

    Args:
        current: where it writes; None when it does not answer: then to the newest stored.
        kept: the server has everything from there on; None: not known, so nothing counts on it.
        spool: names of whole segments that wait on this host.
    """
    size = held.size
    newest = max(held.numbers(way), default=number_at(begin, size))
    passed = max((number for _, number in held.whole), default=-1)
    writing = number_at(current, size) if current is not None else newest
    found: list[Stretch] = []
    for number in range(number_at(begin, size), max(newest, writing) + 1):
        timeline = way.timeline_of(number, size)
        name = name_of(timeline, number, size)
        if _found(held, way, number):
            state = "FOUND"
        elif name in spool or number == writing:
            state = "UPLOADING"
        elif number > passed and kept is not None and begin_of(number + 1, size) > kept:
            state = "DELAYED"
        else:
            state = "LOST"
        found.append(
            Stretch(
                timeline, state, name, name, begin_of(number, size), begin_of(number + 1, size), 1
            )
        )
    return _joined(found)


def _found(held: Held, way: Way, number: int) -> bool:
    """Whole, or to where its timeline was left and nothing newer begins in it."""
    piece = held.piece(way, number)
    return (
        piece is not None
        and piece[0].kind == "segment"
        and (piece[0].timeline == way.timeline_of(number, held.size))
    )


def _joined(found: list[Stretch]) -> list[Stretch]:
    joined: list[Stretch] = []
    for each in found:
        last = joined[-1] if joined else None
        if last is not None and (last.timeline, last.state) == (each.timeline, each.state):
            joined[-1] = Stretch(
                last.timeline, last.state, last.first, each.last, last.begin, each.end,
                last.segments + 1,
            )  # fmt: skip
        else:
            joined.append(each)
    return joined
