"""How does a level turn away a share of the traffic?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sre.core.units import Share
from sre.failover.degrade.doings.map import checked_key, checked_path, key_spots
from sre.failover.degrade.model import Spot
from sre.failover.traffic.haproxyruntime import check_address

__all__ = ["ShedDoing"]

_STRICT: dict[str, object] = {"extra": "forbid"}


@dataclass(frozen=True)
class ShedDoing:
    """`{shed: 30%, map: FILE}`: the key `shed` of the map becomes 30; haproxy.cfg draws lots.

    Attributes:
        shed: whole percent; 0% to 100%.
        map: the file, as haproxy.cfg names it.
        key: what haproxy.cfg looks up in it.
        through, socket: as for `map`.
    """

    __pydantic_config__: ClassVar = _STRICT
    shed: Share
    map: str
    key: str = "shed"
    through: str | tuple[str, ...] = ()
    socket: str = ""

    def __post_init__(self) -> None:
        checked_path("map", self.map)
        checked_key(self.key)
        if self.socket:
            check_address(self.socket)
        if not 0 <= self.shed <= 1 or abs(self.shed * 100 - round(self.shed * 100)) > 1e-9:
            raise ValueError("shed is a whole percentage from 0% to 100%")

    def spots(self, sockets: tuple[str, ...]) -> tuple[Spot, ...]:
        return key_spots(self.map, {self.key: str(round(self.shed * 100))}, sockets)
