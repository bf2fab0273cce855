"""What may a load test say about its own limits? `caps` and `abort_on_burn` (the declaration)"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sre.core.units import Duration, Rate
from sre.loadtest.guards.window import Daily

__all__ = ["Burn", "Caps"]

_STRICT: dict[str, object] = {"extra": "forbid"}


@dataclass(frozen=True)
class Caps:
    """How much a run may do at most; a run that would do more is refused before it starts.

    Attributes:
        requests: at the peak, all journeys together. By default 2000/s, on production 50/s.
        duration: of the arrivals. By default 12h, on production 30m.
        orders: placed over the whole run. By default 100000, on production 100.
        only_between: the hours of the day that the whole run must lie in, with their time zone:
            `02:00..05:00 Europe/Berlin`.
    """

    __pydantic_config__: ClassVar = _STRICT
    requests: Rate | None = None
    duration: Duration | None = None
    orders: int | None = None
    only_between: str | None = None

    def __post_init__(self) -> None:
        if self.requests is not None and self.requests <= 0:
            raise ValueError("requests must be above 0")
        if self.duration is not None and self.duration <= 0:
            raise ValueError("duration must be longer than 0s")
        if self.orders is not None and self.orders < 0:
            raise ValueError("orders must be at least 0")
        if self.only_between is not None:
            try:
                Daily.parse(self.only_between)
            except ValueError as error:
                raise ValueError(f"only_between: {error}") from error


@dataclass(frozen=True)
class Burn:
    """When a run burns an error budget too fast: the objectives of its journeys, over two windows.

    Attributes:
        rate: how many times faster than the objective allows; 14.4 is a month's budget in two days.
        over: the long window: is it more than a mishap?
        and_over: the short window: does it still go on?
        min_failures: runs that failed, or were too slow, in the long window; fewer are a mishap.
    """

    __pydantic_config__: ClassVar = _STRICT
    rate: float = 14.4
    over: Duration = Duration(30.0)
    and_over: Duration = Duration(5.0)
    min_failures: int = 5

    def __post_init__(self) -> None:
        if self.rate <= 1:
            raise ValueError("rate must be above 1; 14.4 is usual")
        if not 2 <= self.and_over < self.over <= 600:
            raise ValueError("`and_over` must be at least 2s and shorter than `over`, at most 10m")
        if self.min_failures < 1:
            raise ValueError("min_failures must be at least 1")
