"""Several levels may lie on one place: what stands there now, and what after one of them? (pure)

The last level on a place decides; when it goes, the one below does, and below all lies what stood
there before any.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sre.failover.degrade.model import Held, Level, Place
from sre.failover.degrade.record import Active, Mark, Record

__all__ = ["Step", "begun", "bringing", "on_top", "taking"]

How = Literal["change", "as wanted", "by hand", "covered", "no answer"]
"""change: to be done. as wanted: stands there. by hand: somebody else's, it stays. covered: a
request that another level still needs, or that never went out. no answer: nobody can tell."""


@dataclass(frozen=True)
class Step:
    """One place of a run. `before` is None where nobody can look."""

    place: Place
    before: Held | None
    target: Held
    how: How
    surprise: bool = False
    """Something stood there that no level brought."""


def on_top(record: Record, place: Place) -> Held | None:
    """What `record` says stands there; None when it does not know the place."""
    for level in reversed(record.levels):
        for mark in level.marks:
            if mark.place.name == place.name:
                return mark.spot.wanted
    return record.bases.get(place.name)


def begun(
    record: Record, level: Level, active: Active, now: Mapping[str, Held], unsent: Held
) -> Record:
    """The record with `level` on its way, and what stands in its places noted for good.

    A level that is there already keeps its layer, and what was noted then.
    """
    there = record.level(level.name)
    known = {each.place.name: each for each in (there.marks if there is not None else ())}
    marks, bases = [], dict(record.bases)
    for spot in level.spots:
        name = spot.place.name
        stood = now.get(name, unsent)
        bases.setdefault(name, stood)
        old = known.get(name)
        wanted = old.spot.wanted if old is not None else spot.wants(stood)
        marks.append(Mark(type(spot)(spot.place, wanted), old.sent if old is not None else False))
    noted = Active(**{**vars(active), "marks": tuple(marks), "phase": "applying"})
    if there is not None:
        first = {"at": there.at, "by": there.by}
        noted = Active(**{**vars(noted), **first})
    grown = Record(record.levels, bases, record.left).having(noted)
    return grown.leaving((), [spot.place.name for spot in level.spots])


def bringing(before: Record, after: Record, name: str, now: Mapping[str, Held]) -> list[Step]:
    """What has to be done so that level `name` of `after` holds."""
    level, there_was = after.level(name), before.level(name)
    whole = there_was is not None and there_was.phase == "active"
    steps = []
    for mark in level.marks if level is not None else ():
        place = mark.place
        target = on_top(after, place) or mark.spot.wanted
        if not place.readable:
            sent = (mark.sent and whole) or _sent_elsewhere(after, name, place)
            steps.append(Step(place, None, target, "covered" if sent else "change"))
            continue
        there, expected = now[place.name], on_top(before, place)
        odd = expected is not None and not there.same(expected) and not there.same(target)
        how: How = "as wanted" if there.same(target) else "change"
        steps.append(Step(place, there, target, how, odd))
    return steps


def taking(
    before: Record, name: str, now: Mapping[str, Held], unsent: Held, *, force: bool
) -> list[Step]:
    """What has to be done so that level `name` no longer holds, the last place first."""
    level = before.level(name)
    marks: Sequence[Mark] = level.marks if level is not None else ()
    after = before.without(name)
    steps = []
    for mark in reversed(marks):
        place = mark.place
        if not place.readable:
            needed = not mark.sent or _sent_elsewhere(after, name, place)
            steps.append(Step(place, None, unsent, "covered" if needed else "change"))
            continue
        target = on_top(after, place) or before.bases[place.name]
        if place.name not in now:
            steps.append(Step(place, None, target, "no answer"))
            continue
        there, expected = now[place.name], on_top(before, place)
        if there.same(target):
            steps.append(Step(place, there, target, "as wanted"))
        elif force or (expected is not None and there.same(expected)):
            odd = expected is not None and not there.same(expected)
            steps.append(Step(place, there, target, "change", odd))
        else:
            steps.append(Step(place, there, target, "by hand", surprise=True))
    return steps


def _sent_elsewhere(record: Record, name: str, place: Place) -> bool:
    return any(
        mark.place.name == place.name and mark.sent
        for level in record.levels
        if level.name != name and level.phase == "active"
        for mark in level.marks
    )
