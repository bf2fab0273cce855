"""What is kept of a run while it goes, in numbers that can be added up over workers and seconds?

**Which latencies count?** Good answers (ok, degraded) and failures are kept apart, and each
percentile is the worse of two: over the good answers alone, and over good answers and failures
together. So a storm of quick errors cannot make a percentile look better, and time-outs cannot
hide from it. What was refused, throttled or blocked, and faults of the generator itself
(`prober`), are no answers to a customer's wish and have no latency here.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from sre.loadtest.histogram import Histogram
from sre.loadtest.trace import Exemplars
from sre.loadtest.truth.entry import Entry

__all__ = ["Book", "Latency", "Series", "Tally"]


class Latency:
    """Latencies of good answers and of failures, kept apart."""

    __slots__ = ("failed", "good")

    def __init__(self) -> None:
        self.good = Histogram()
        self.failed = Histogram()

    @property
    def count(self) -> int:
        """Good answers and failures."""
        return self.good.count + self.failed.count

    def together(self) -> Histogram:
        """Good answers and failures in one."""
        both = Histogram()
        both.merge(self.good)
        both.merge(self.failed)
        return both

    def quantile(self, q: float) -> float | None:
        """Seconds; the worse of good answers alone and all. None when there are none."""
        values = [h.quantile(q) for h in (self.good, self.together()) if h.count]
        return max((value for value in values if value is not None), default=None)

    def merge(self, other: Latency) -> None:
        """Add all values of `other`."""
        self.good.merge(other.good)
        self.failed.merge(other.failed)

    def to_plain(self) -> list[dict[str, Any]]:
        """JSON-ready."""
        return [self.good.to_plain(), self.failed.to_plain()]

    @classmethod
    def from_plain(cls, plain: list[dict[str, Any]]) -> Latency:
        """The reverse of `to_plain`."""
        latency = cls()
        latency.good, latency.failed = (Histogram.from_plain(part) for part in plain)
        return latency


class Series:
    """Outcomes, reasons and latencies of a journey, a step or a stretch of time."""

    __slots__ = ("counts", "reasons", "response", "service")

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.response = Latency()
        self.service = Latency()

    def record(self, outcome: str, reason: str, response: float, service: float) -> None:
        """One event. `outcome` is `prober` for a fault of the generator itself. Seconds."""
        self.counts[outcome] += 1
        if reason:
            self.reasons[reason] += 1
        if outcome in ("ok", "degraded"):
            self.response.good.record(response)
            self.service.good.record(service)
        elif outcome == "failed":
            self.response.failed.record(response)
            self.service.failed.record(service)

    def served(self, outcome: str, service: float) -> None:
        """One event without a reason and without a response time. Seconds."""
        self.counts[outcome] += 1
        if outcome in ("ok", "degraded"):
            self.service.good.record(service)
        elif outcome == "failed":
            self.service.failed.record(service)

    def merge(self, other: Series) -> None:
        """Add all events of `other`."""
        self.counts.update(other.counts)
        self.reasons.update(other.reasons)
        self.response.merge(other.response)
        self.service.merge(other.service)

    def to_plain(self) -> list[Any]:
        """JSON-ready."""
        return [
            dict(self.counts),
            dict(self.reasons),
            self.response.to_plain(),
            self.service.to_plain(),
        ]

    @classmethod
    def from_plain(cls, plain: list[Any]) -> Series:
        """The reverse of `to_plain`."""
        series = cls()
        series.counts.update(plain[0])
        series.reasons.update(plain[1])
        series.response = Latency.from_plain(plain[2])
        series.service = Latency.from_plain(plain[3])
        return series


class Tally:
    """Arrivals of one journey: how many were due, started, dropped, ended, given up.

    `ambiguous` counts runs whose side effect may have happened without our knowing.
    """

    __slots__ = ("abandoned", "ambiguous", "arrivals", "dropped", "finished", "started")

    def __init__(self, *counts: int) -> None:
        for name, count in zip(self.__slots__, counts or (0,) * 6, strict=True):
            setattr(self, name, count)

    arrivals: int
    started: int
    dropped: int
    finished: int
    abandoned: int
    ambiguous: int

    def to_plain(self) -> list[int]:
        """JSON-ready."""
        return [getattr(self, name) for name in self.__slots__]

    def merge(self, other: Tally) -> None:
        """Add the counts of `other`."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Book:
    """Everything recorded: by journey, step and phase; by journey and slot of time.

    Attributes:
        series: (journey, step or "", phase) -> Series.
        slots: (journey, slot) -> Series of whole journeys, by the time they were due.
        tallies: (journey, phase) -> Tally.
        starts, ends: slot -> journeys started and ended in it; what was given up has no end.
        answers: slot -> outcomes and service times of the steps that ended in it.
        lateness: seconds from due to start of each journey, and of each later step.
        requests: sent, redirects and resends included; not those that found no connection.
        examples: (journey, step, reason) -> what the first such failure said, for people.
        exemplars: traces of the slowest and of failed steps; none when nothing is traced.
        ledger: every ended run of a journey with side effects.
    """

    def __init__(self) -> None:
        self.series: dict[tuple[str, str, int], Series] = {}
        self.slots: dict[tuple[str, int], Series] = {}
        self.tallies: dict[tuple[str, int], Tally] = {}
        self.starts: Counter[int] = Counter()
        self.ends: Counter[int] = Counter()
        self.answers: dict[int, Series] = {}
        self.lateness = Histogram()
        self.requests = 0
        self.examples: dict[tuple[str, str, str], str] = {}
        self.exemplars = Exemplars()
        self.ledger: list[Entry] = []

    def merge(self, other: Book) -> None:
        """Add everything of `other`."""
        for key, series in other.series.items():
            self.series.setdefault(key, Series()).merge(series)
        for slot, series in other.slots.items():
            self.slots.setdefault(slot, Series()).merge(series)
        for owner, tally in other.tallies.items():
            self.tallies.setdefault(owner, Tally()).merge(tally)
        self.starts.update(other.starts)
        self.ends.update(other.ends)
        for at, answers in other.answers.items():
            self.answers.setdefault(at, Series()).merge(answers)
        self.lateness.merge(other.lateness)
        self.requests += other.requests
        self.examples = other.examples | self.examples
        self.exemplars.merge(other.exemplars)
        self.ledger += other.ledger

    def to_plain(self) -> dict[str, Any]:
        """JSON-ready: lists and text keys alone."""
        return {
            "series": [[*key, series.to_plain()] for key, series in self.series.items()],
            "slots": [[*key, series.to_plain()] for key, series in self.slots.items()],
            "tallies": [[*key, tally.to_plain()] for key, tally in self.tallies.items()],
            "starts": [list(item) for item in self.starts.items()],
            "ends": [list(item) for item in self.ends.items()],
            "answers": [[at, series.to_plain()] for at, series in self.answers.items()],
            "lateness": self.lateness.to_plain(),
            "requests": self.requests,
            "examples": [[*key, text] for key, text in self.examples.items()],
            "exemplars": self.exemplars.to_plain(),
            "ledger": [entry.to_plain() for entry in self.ledger],
        }

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Book:
        """The reverse of `to_plain`."""
        book = cls()
        for journey, step, phase, series in plain["series"]:
            book.series[journey, step, phase] = Series.from_plain(series)
        for journey, slot, series in plain["slots"]:
            book.slots[journey, slot] = Series.from_plain(series)
        for journey, phase, counts in plain["tallies"]:
            book.tallies[journey, phase] = Tally(*counts)
        book.starts.update(dict(plain["starts"]))
        book.ends.update(dict(plain["ends"]))
        book.answers = {at: Series.from_plain(series) for at, series in plain["answers"]}
        book.lateness = Histogram.from_plain(plain["lateness"])
        book.requests = plain["requests"]
        book.examples = {(j, step, reason): text for j, step, reason, text in plain["examples"]}
        book.exemplars = Exemplars(plain["exemplars"])
        book.ledger = [Entry.from_plain(row) for row in plain["ledger"]]
        return book
