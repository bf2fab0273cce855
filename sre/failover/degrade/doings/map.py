"""How does a level set keys of a HAProxy map, at run time and for the next reload?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from sre.failover.degrade.model import Held, Spot
from sre.failover.degrade.places.live import MapLive
from sre.failover.degrade.places.mapfile import MapFile
from sre.failover.traffic.haproxyruntime import check_address

__all__ = ["MapDoing", "checked_path", "key_spots"]

_STRICT: dict[str, object] = {"extra": "forbid"}
_VALUE = re.compile(r"\S(?:[^\x00-\x1f\x7f]*\S)?")


@dataclass(frozen=True)
class MapDoing:
    """`{map: FILE, set: {KEY: VALUE}}`; a value of null takes the key out.

    Attributes:
        map: the file, as haproxy.cfg names it.
        set: key -> value.
        through: switches of `traffic:` whose HAProxy is told; all of kind haproxy without.
        socket: a runtime API that no switch names: the path of a socket, or HOST:PORT.
    """

    __pydantic_config__: ClassVar = _STRICT
    map: str
    set: dict[str, Any] = field(default_factory=dict)
    through: str | tuple[str, ...] = ()
    socket: str = ""

    def __post_init__(self) -> None:
        checked_path("map", self.map)
        if self.socket:
            check_address(self.socket)
        if not self.set:
            raise ValueError("set names at least one key: {checkout: off}")
        for key, value in self.set.items():
            checked_key(key)
            odd = isinstance(value, dict | list | float)
            if odd or (value is not None and not _VALUE.fullmatch(_text(value) or "")):
                what = "one line of text without blanks around it, a whole number or null"
                raise ValueError(f"the value of {key} is {what}")

    def spots(self, sockets: tuple[str, ...]) -> tuple[Spot, ...]:
        return key_spots(self.map, {key: _text(v) for key, v in self.set.items()}, sockets)


def checked_path(what: str, path: str) -> None:
    """Raises ValueError unless `path` is absolute and one line."""
    if not path.startswith("/") or path.endswith("/") or not path.isprintable():
        raise ValueError(f"{what} is the absolute path of a file, not {path!r}")


def checked_key(key: str) -> None:
    """Raises ValueError unless a map can have the key."""
    if not key or key.startswith("#") or re.search(r"[\s\x00-\x1f\x7f]", key):
        raise ValueError(f"{key!r} is not a key of a map: no blanks in it, no # before it")


def key_spots(
    path: str, values: Mapping[str, str | None], sockets: tuple[str, ...]
) -> tuple[Spot, ...]:
    """Each key in the file, then in every HAProxy that has it: a reload between keeps it."""
    found = [Spot(MapFile(path, key), Held(value)) for key, value in values.items()]
    for socket in sockets:
        found += [Spot(MapLive(socket, path, key), Held(v)) for key, v in values.items()]
    return tuple(found)


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)
