"""What was found out about a shop's traffic?

Rates are customers a second, times seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Literal

from sre.loadtest.mix.curve import Bursts, Knot, Leg

__all__ = ["Ask", "Estimate", "Found", "Pause", "Row", "Window", "clock_time"]


@dataclass(frozen=True)
class Ask:
    """What somebody wants to know.

    Attributes:
        window: seconds of the log that become the curve; None: an hour, or all of it.
        at: from when to when; None: the busiest window.
        interval: seconds of one point of the curve; None: a sixtieth of the window.
        duration: seconds of the load test; None: 20 minutes, or as long as the window.
        level: what 100 % stands for.
    """

    window: float | None = None
    at: tuple[float, float | None] | None = None
    interval: float | None = None
    duration: float | None = None
    level: Literal["peak", "mean"] = "peak"


@dataclass(frozen=True)
class Window:
    """A stretch of the log."""

    start: float
    seconds: float
    requests: int


@dataclass(frozen=True)
class Row:
    """One route: what was counted, and what the journeys make of it (None: no journey has it)."""

    label: str
    counted: int
    expected: float | None


@dataclass(frozen=True)
class Pause:
    """Seconds between a step and the next one of the same visitor."""

    journey: str
    step: str
    median: float
    p95: float
    samples: int


@dataclass(frozen=True)
class Found:
    """One journey in the log."""

    name: str
    customers: float
    rate: float
    unseen: str = ""


@dataclass(frozen=True)
class Estimate:
    """The mix and the curve.

    Attributes:
        log: all of it, without what was left out.
        window: what the mix and the curve are of.
        busiest_hour: of the whole log, by its own clock; None if it is shorter than an hour.
        left: requests that were left out, by reason.
        journeys: rates at 100 %.
        peak, mean: of all journeys together, customers a second.
        explained: share of the window's requests.
        unexplained: requests of no journey, or more than the journeys make; the most first.
        poor: routes that are asked for much more, or less, than the journeys say.
        never: steps of journeys in the mix that the window does not show.
        left_out: steps that cannot be recognised, and why.
        alike: journeys that cannot be told apart by this log.
        offset: seconds that the log's clock is ahead of UTC.
    """

    log: Window
    window: Window
    busiest_hour: Window | None
    lines: int
    unread: int
    left: Mapping[str, int]
    journeys: tuple[Found, ...]
    level: str
    peak: float
    mean: float
    interval: float
    knots: tuple[Knot, ...]
    legs: tuple[Leg, ...]
    bursts: Bursts | None
    pauses: tuple[Pause, ...]
    explained: float
    unexplained: tuple[Row, ...]
    poor: tuple[Row, ...]
    never: tuple[tuple[str, str], ...]
    left_out: tuple[tuple[str, str, str], ...]
    alike: tuple[tuple[str, ...], ...]
    offset: int


def clock_time(at: float, offset: int) -> str:
    """A time as the log's own clock shows it."""
    zone = UTC if offset == 0 else timezone(timedelta(seconds=offset))
    return datetime.fromtimestamp(at, zone).isoformat(timespec="seconds").replace("+00:00", "Z")
