"""How does a level limit how often one client may ask?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sre.core.units import Duration, Rate
from sre.failover.degrade.doings.map import checked_key, checked_path, key_spots
from sre.failover.degrade.model import Spot
from sre.failover.traffic.haproxyruntime import check_address

__all__ = ["RateDoing"]

_STRICT: dict[str, object] = {"extra": "forbid"}


@dataclass(frozen=True)
class RateDoing:
    """`{rate: {/checkout: 2/s}, map: FILE}`: the map says how many requests a window may have.

    Attributes:
        rate: key of the map, such as the beginning of a path -> requests of one client.
        map: the file, as haproxy.cfg names it.
        per: the window that haproxy.cfg counts in: `http_req_rate(10s)`.
        through, socket: as for `map`.
    """

    __pydantic_config__: ClassVar = _STRICT
    rate: dict[str, Rate]
    map: str
    per: Duration = Duration(10)
    through: str | tuple[str, ...] = ()
    socket: str = ""

    def __post_init__(self) -> None:
        checked_path("map", self.map)
        if self.socket:
            check_address(self.socket)
        if not self.rate:
            raise ValueError("rate names at least one key: {/checkout: 2/s}")
        if self.per <= 0:
            raise ValueError("per must be above 0")
        for key, rate in self.rate.items():
            checked_key(key)
            if abs(rate * self.per - round(rate * self.per)) > 1e-6 or rate * self.per > 2**31:
                raise ValueError(
                    f"the rate of {key} is {rate * self.per:g} requests in {self.per:g} s; "
                    "HAProxy counts whole ones"
                )

    def spots(self, sockets: tuple[str, ...]) -> tuple[Spot, ...]:
        values = {key: str(round(rate * self.per)) for key, rate in self.rate.items()}
        return key_spots(self.map, values, sockets)
