"""Which levels are on, and what stood in their places before? (on disk before anything changes)

One file of mode 0600 in the state folder, replaced in one step. It holds what is needed to bring
everything back without sre.yaml: a level that was taken out of it meanwhile can still be restored.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from sre.core.errors import IntegrityError, Transient
from sre.core.files import replace_file
from sre.failover.degrade.model import Held, Level, Place, Spot, Undo
from sre.failover.degrade.places import place_from

__all__ = ["Active", "Left", "Mark", "Record", "load", "save"]

SCHEMA = "sre.degrade-record/1"


@dataclass(frozen=True)
class Mark:
    """One place of an active level. `sent`: of a request, whether it may have gone out."""

    spot: Spot
    sent: bool = False

    @property
    def place(self) -> Place:
        return self.spot.place


@dataclass(frozen=True)
class Active:
    """One level that is on, or on its way.

    Attributes:
        at: since when, seconds since the epoch. until: when it is due; None: never.
        phase: `applying` and `restoring` are what a run that was cut off leaves.
    """

    name: str
    at: float
    by: str
    reason: str
    shows: str
    undo: Undo
    until: float | None
    phase: Literal["applying", "active", "restoring"]
    marks: tuple[Mark, ...]

    def of(self, level: Level) -> bool:
        """Whether `level` as it is declared now is what was brought about."""
        then = [(each.place, each.spot.wanted.text) for each in self.marks]
        kept = {each.place.name for each in level.spots if each.keep}
        now = [(each.place, each.wanted.text) for each in level.spots]
        return [
            (p, None if p.name in kept else text) for p, text in then
        ] == [(p, None if p.name in kept else text) for p, text in now]  # fmt: skip


@dataclass(frozen=True)
class Left:
    """A place that somebody changed by hand while a level was on; it was not brought back."""

    level: str
    place: Place
    base: Held


@dataclass(frozen=True)
class Record:
    """Everything that is remembered.

    Attributes:
        levels: in the order in which they were brought about.
        bases: name of a place -> what stood there before any of them.
    """

    levels: tuple[Active, ...] = ()
    bases: Mapping[str, Held] = field(default_factory=dict)
    left: tuple[Left, ...] = ()

    def level(self, name: str) -> Active | None:
        """The one of that name."""
        return next((each for each in self.levels if each.name == name), None)

    def without(self, name: str) -> Record:
        """The others, and what they need."""
        levels = tuple(each for each in self.levels if each.name != name)
        held = {mark.place.name for each in levels for mark in each.marks}
        bases = {place: base for place, base in self.bases.items() if place in held}
        return replace(self, levels=levels, bases=bases)

    def having(self, level: Active) -> Record:
        """With `level` in its place, or as the last one."""
        if self.level(level.name) is None:
            return replace(self, levels=(*self.levels, level))
        changed = tuple(level if each.name == level.name else each for each in self.levels)
        return replace(self, levels=changed)

    def leaving(self, left: Iterable[Left], forgotten: Iterable[str] = ()) -> Record:
        """With `left` noted, and the places `forgotten` no longer."""
        new = tuple(left)
        gone = {each.place.name for each in new} | set(forgotten)
        kept = tuple(each for each in self.left if each.place.name not in gone)
        return replace(self, left=(*kept, *new))


def load(path: Path) -> Record:
    """What is remembered; empty when nobody has written anything.

    Raises:
        IntegrityError: it is not what `save` wrote.
    """
    try:
        found = json.loads(path.read_bytes())
        return Record(
            tuple(_active(each) for each in found["levels"]),
            {str(name): Held(**base) for name, base in found["bases"].items()},
            tuple(
                Left(str(each["level"]), place_from(each["place"]), Held(**each["base"]))
                for each in found["left"]
            ),
        )
    except FileNotFoundError:
        return Record()
    except OSError as error:
        raise Transient(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, IntegrityError) as error:
        raise IntegrityError(
            f"{path} is damaged ({error}); bring what degrade: changed back by hand, then remove it"
        ) from error


def save(path: Path, record: Record) -> None:
    """Write it; on disk when this returns. Raises Transient when the disk refuses."""
    data = {
        "schema": SCHEMA,
        "levels": [_noted(each) for each in record.levels],
        "bases": {name: asdict(base) for name, base in record.bases.items()},
        "left": [
            {"level": each.level, "place": each.place.note(), "base": asdict(each.base)}
            for each in record.left
        ],
    }
    try:
        replace_file(path, json.dumps(data, indent=1).encode(), mode=0o600)
    except OSError as error:
        raise Transient(f"cannot write {path}: {error.strerror}") from error


def _noted(level: Active) -> dict[str, Any]:
    marks = [
        {"place": m.place.note(), "wanted": asdict(m.spot.wanted), "sent": m.sent}
        for m in level.marks
    ]
    names = ("name", "at", "by", "reason", "shows", "undo", "until", "phase")
    return {**{name: getattr(level, name) for name in names}, "marks": marks}


def _active(noted: Mapping[str, Any]) -> Active:
    marks = tuple(
        Mark(Spot(place_from(m["place"]), Held(**m["wanted"])), bool(m["sent"]))
        for m in noted["marks"]
    )
    return Active(**{**noted, "marks": marks})
