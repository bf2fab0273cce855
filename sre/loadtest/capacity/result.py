"""What did the search find, as data that every renderer reads? (pure)"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sre.loadtest.book import Latency, Series
from sre.loadtest.capacity.growth import Growth
from sre.loadtest.capacity.recovery import Recovery
from sre.loadtest.capacity.search import Ending, Level, Showed
from sre.loadtest.judge.report import Report

__all__ = ["EXIT_CODES", "Found", "LevelResult"]

EXIT_CODES = {
    Ending.FOUND: 0,
    Ending.NOTHING_HOLDS: 1,
    Ending.STUCK: 1,
    Ending.LIMIT: 3,
    Ending.GENERATOR: 3,
    Ending.UNCONFIRMED: 3,
    Ending.ABORTED: 8,
}


@dataclass(frozen=True)
class LevelResult:
    """One level that was tried.

    Attributes:
        rates: arrivals a second that were asked for, by journey.
        reasons: why it broke or could not be measured; empty when it held.
        folder: of its own reports, below that of the search.
        recovery: how the shop came back after it; None where nobody looked.
    """

    number: int
    level: Level
    showed: Showed
    reasons: tuple[str, ...]
    rates: Mapping[str, float]
    report: Report
    growth: Growth
    folder: str
    recovery: Recovery | None = None

    @property
    def rate(self) -> float:
        """Arrivals a second, all journeys together."""
        return sum(self.rates.values())

    @property
    def generator_spoilt(self) -> bool:
        """Whether the generator measured itself."""
        return any(doubt.spoils_latency for doubt in self.report.verdict.doubts)

    @property
    def arrivals(self) -> int:
        """Customers who counted."""
        return sum(part.tally.arrivals for part in self.report.journeys)

    @property
    def dropped(self) -> int:
        """Customers who could not start."""
        return sum(part.tally.dropped for part in self.report.journeys)

    @property
    def whole(self) -> Series:
        """All journeys together."""
        series = Series()
        for part in self.report.journeys:
            series.merge(part.series)
        return series

    @property
    def good(self) -> int:
        """Customers who were served, of those who counted."""
        counts = self.whole.counts
        return counts["ok"] + counts["degraded"]

    def share_failed(self) -> float:
        """Of the customers who counted."""
        return self.whole.counts["failed"] / self.arrivals if self.arrivals else 0.0

    def response(self, q: float) -> float | None:
        """Seconds, all journeys together."""
        latency: Latency = self.whole.response
        return latency.quantile(q)


@dataclass(frozen=True)
class Found:
    """The whole search.

    Attributes:
        held, broke: levels as shares of the mix; None where there is none.
        why: how it ended, in words.
        mix: arrivals a second of each journey at 100 %.
        ordering: the journeys that place orders.
        signal: the signal that ended it, if one did.
        comparable: what must be the same for another search to be compared with this one.
    """

    name: str
    ending: Ending
    held: float | None
    broke: float | None
    why: str
    target: str
    environment: str
    started: str
    seconds: float
    mix: Mapping[str, float]
    ordering: tuple[str, ...]
    levels: tuple[LevelResult, ...]
    signal: int | None = None
    comparable: Mapping[str, object] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """The documented one."""
        return EXIT_CODES[self.ending]

    @property
    def confirmed(self) -> bool:
        """Whether the level that held did so once more, for longer."""
        return self.ending is Ending.FOUND

    @property
    def limited_by(self) -> tuple[str, ...]:
        """What broke at the lowest level that broke."""
        broken = [r for r in self.levels if r.showed is Showed.BROKE]
        lowest = min(broken, key=lambda r: r.level.share, default=None)
        return () if lowest is None else lowest.reasons

    @property
    def recovery(self) -> Recovery | None:
        """The slowest return of all levels that broke."""
        seen = [r.recovery for r in self.levels if r.recovery is not None]
        return max(seen, key=lambda r: r.waited if r.seconds is None else r.seconds, default=None)

    def per_second(self, share: float | None) -> dict[str, float] | None:
        """Arrivals a second of each journey at that level."""
        if share is None:
            return None
        return {name: round(rate * share, 6) for name, rate in self.mix.items()}

    def orders_per_second(self, share: float | None) -> float | None:
        """Orders a second at that level."""
        rates = self.per_second(share)
        return None if rates is None else round(sum(rates[n] for n in self.ordering), 6)
