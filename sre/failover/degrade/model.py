"""What is a level of degradation, and what is a place that it changes?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

from sre.core.clock import Clock, Deadline, SystemClock
from sre.core.units import Duration
from sre.journey.guard import Guard

__all__ = ["Doing", "Held", "Level", "LevelFields", "Place", "Spot", "Tools", "Undo"]

_STRICT: dict[str, object] = {"extra": "forbid"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
Undo = Literal["automatic", "manual"]


@dataclass(frozen=True)
class Held:
    """What stands in a place.

    Attributes:
        text: None: nothing does. Bytes that are no UTF-8 are lone surrogates.
        mode, uid, gid: of a file.
    """

    text: str | None
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None

    def same(self, other: Held) -> bool:
        """Whether both mean the same to whoever reads the place."""
        return self.text == other.text


@dataclass(frozen=True)
class Tools:
    """What reaching a place needs. `seconds` is how long one answer may take."""

    guard: Guard
    clock: Clock = field(default_factory=SystemClock)
    seconds: float = 5.0

    def deadline(self) -> Deadline:
        """For one answer, from now."""
        return Deadline.after(self.seconds, self.clock)


class Place(Protocol):
    """Somewhere that has a value.

    Every method may raise Transient (no answer), CheckFailed (it said no), Refused (we may not).
    """

    @property
    def name(self) -> str:
        """The same for the same place, in every declaration."""
        ...

    @property
    def readable(self) -> bool:
        """Whether one can look what stands there; a request is sent or not, nothing tells."""
        ...

    def note(self) -> Mapping[str, Any]:
        """JSON from which `place_from` makes it again, without secrets."""
        ...

    def check(self, tools: Tools) -> None:
        """May it be reached at all? Sends nothing. Raises Refused."""
        ...

    def read(self, tools: Tools) -> Held:
        """What stands there now. Only where `readable`."""
        ...

    def write(self, value: Held, tools: Tools) -> None:
        """Bring `value` about; may be called again."""
        ...


@dataclass(frozen=True)
class Spot:
    """A place, and what a level wants there; with `keep`, whatever stands there is right."""

    place: Place
    wanted: Held
    keep: bool = False

    def wants(self, now: Held) -> Held:
        """What the level wants, once it is known what stands there."""
        return now if self.keep and now.text is not None else self.wanted


class Doing(Protocol):
    """One entry of `does:`; its fields are its configuration."""

    def spots(self, sockets: tuple[str, ...]) -> tuple[Spot, ...]:
        """Its places; `sockets` are the runtime APIs that it goes through, where it needs one."""
        ...


@dataclass(frozen=True)
class LevelFields:
    """What an entry of `degrade:` may say beside `does:`.

    Attributes:
        undo: automatic: `restore` without a name and `restore --due` bring it back too.
            manual: only `restore NAME` does.
        for_: after so long it is due; `--for` says otherwise.
        shows: what the status page tells customers while it is on.
    """

    __pydantic_config__: ClassVar = _STRICT
    undo: Undo = "automatic"
    for_: Duration | None = None
    shows: str = ""

    def __post_init__(self) -> None:
        if self.for_ is not None and self.undo == "manual":
            raise ValueError("for: needs undo: automatic; a manual level is never due")
        if self.for_ is not None and self.for_ <= 0:
            raise ValueError("for must be above 0")
        if len(self.shows) > 200 or any(not each.isprintable() for each in self.shows):
            raise ValueError("shows is one line of at most 200 characters")


@dataclass(frozen=True)
class Level:
    """One entry of `degrade:`."""

    name: str
    spots: tuple[Spot, ...]
    fields: LevelFields = field(default_factory=LevelFields)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is not a level's name; use letters, digits, _ . -")
