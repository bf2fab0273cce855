"""Is an error budget burning? Plain numbers of an objective, and the arithmetic. (pure)"""

from __future__ import annotations

from dataclasses import dataclass

from sre.loadtest.book import Series

__all__ = ["Events", "Promise", "burning", "events_of", "tolerated"]


@dataclass(frozen=True)
class Promise:
    """An objective about a journey, or a step of it.

    Attributes:
        step: empty for the whole journey.
        target: the share of events that must be good.
        below: seconds that a good event may take; None: any.
    """

    name: str
    journey: str
    target: float
    below: float | None = None
    step: str = ""


@dataclass(frozen=True)
class Events:
    """Good and bad events: of a run so far, or of a stretch of it."""

    good: int = 0
    bad: int = 0

    @property
    def bad_share(self) -> float:
        """0 where nothing happened."""
        return self.bad / (self.good + self.bad) if self.bad else 0.0

    def since(self, earlier: Events) -> Events:
        """What was added since."""
        return Events(self.good - earlier.good, self.bad - earlier.bad)


def events_of(series: Series, below: float | None) -> Events:
    """As objectives count: refused, throttled, blocked and our own faults are no events.

    The time is the shop's own (`service`): a generator that is late must not stop a run.
    """
    good = series.counts["ok"] + series.counts["degraded"]
    in_time = good if below is None else series.service.good.up_to(below)
    return Events(in_time, series.counts["failed"] + good - in_time)


def tolerated(target: float, rate: float) -> float:
    """The share of bad events at which a budget burns `rate` times too fast.

    A loose promise cannot burn that fast: with 90 % all failing is ten times. So it is never more
    than half-way from what is promised to everything.
    """
    budget = 1.0 - target
    return min(rate * budget, (1.0 + budget) / 2)


def burning(
    promise: Promise, long: Events, short: Events, *, rate: float, min_failures: int
) -> bool:
    """Too fast in both windows, and more than a mishap."""
    limit = tolerated(promise.target, rate)
    return long.bad >= min_failures and long.bad_share >= limit and short.bad_share >= limit
