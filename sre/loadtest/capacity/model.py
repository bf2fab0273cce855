"""What does `capacity:` of a load test say about the search for the highest rate it can bear?

    capacity: {from: 50%, factor: 1.5, precision: 5%, settle: 15s, measure: 60s, limit: 5000%}

All percentages are of the mix, which is scaled as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sre.core.units import Duration, Share

__all__ = ["Capacity"]


@dataclass(frozen=True)
class Capacity:
    """How `sre loadtest capacity` searches.

    Attributes:
        from_: the first level that is tried.
        lowest: if the shop does not even hold the first level the search goes down to here.
        limit: no level above this is tried, whatever the shop holds. By default 5000%, or what the
            cap on requests leaves room for, if that is less.
        factor: how much higher the next level is, until one breaks.
        precision: the search ends when the level that held and the one that broke are this close.
        settle: seconds of each level that are sent but not counted; as long as the think time of
            the longest journey at least, or the shop would not be full yet.
        measure: seconds of each level that count; more where thresholds need more samples.
        arrivals: a level counts until so many customers of the rarest journey came, where that
            takes longer than `measure`.
        confirm: the level found is held once more, for this many times as long.
        recovery: how long the shop may take to serve well again after a level that broke; seconds.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid"}
    from_: Share = Share(1.0)
    lowest: Share = Share(0.05)
    limit: Share | None = None
    factor: float = 1.5
    precision: Share = Share(0.05)
    settle: Duration = Duration(15.0)
    measure: Duration = Duration(60.0)
    arrivals: int = 0
    confirm: float = 2.0
    recovery: Duration = Duration(120.0)

    def __post_init__(self) -> None:
        if not 0 < self.lowest <= self.from_ <= self.top:
            raise ValueError(
                "capacity needs 0% < lowest <= from <= limit, such as "
                "{lowest: 5%, from: 100%, limit: 5000%}"
            )
        if not 1.05 <= self.factor <= 10:
            raise ValueError("capacity.factor must be from 1.05 to 10; 1.5 is half as much again")
        if not 0.005 <= self.precision <= 0.5:
            raise ValueError("capacity.precision must be from 0.5% to 50%")
        if self.measure <= 0:
            raise ValueError("capacity.measure must be longer than 0s")
        if self.arrivals < 0:
            raise ValueError("capacity.arrivals must not be negative; 0 asks for no number")
        if not 1 <= self.confirm <= 10:
            raise ValueError("capacity.confirm must be from 1 to 10 times `measure`")
        if self.recovery <= 0:
            raise ValueError("capacity.recovery must be longer than 0s")

    @property
    def top(self) -> float:
        """The highest level, where no cap is lower."""
        return 50.0 if self.limit is None else float(self.limit)
