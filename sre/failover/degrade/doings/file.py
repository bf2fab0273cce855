"""How does a level put a file there, or take it away?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sre.failover.degrade.doings.map import checked_path
from sre.failover.degrade.model import Held, Spot
from sre.failover.degrade.places.whole import MOST
from sre.failover.degrade.places.wholefile import WholeFile

__all__ = ["FileDoing"]

_STRICT: dict[str, object] = {"extra": "forbid"}


@dataclass(frozen=True)
class FileDoing:
    """`{file: PATH, content: TEXT}` or `{file: PATH, present: true|false}`.

    Attributes:
        file: replaced in one step; its rights, its owner and a link to it stay.
        content: all of it.
        present: true: it is there, empty when it was not; false: it is not.
    """

    __pydantic_config__: ClassVar = _STRICT
    file: str
    content: str | None = None
    present: bool | None = None

    def __post_init__(self) -> None:
        checked_path("file", self.file)
        if (self.content is None) == (self.present is None):
            raise ValueError("say one of content: TEXT and present: true|false")
        if self.content is not None and len(self.content.encode()) > MOST:
            raise ValueError(f"content is larger than {MOST >> 20} MiB")

    def spots(self, sockets: tuple[str, ...]) -> tuple[Spot, ...]:
        place = WholeFile(self.file)
        if self.content is not None:
            return (Spot(place, Held(self.content)),)
        return (Spot(place, Held("" if self.present else None), keep=bool(self.present)),)
