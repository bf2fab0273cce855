"""Is this load test whole and allowed, and what will it do? (pure, but for one look-up)"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from sre.core.errors import Refused, Transient, UsageError
from sre.journey.guard import Admission, Guard, Unresolved
from sre.journey.model import Journey
from sre.journey.shop import Shop, Targets, origin_of
from sre.loadtest.model import LoadTest
from sre.loadtest.shape import Arrival, Shape
from sre.loadtest.thresholds import Names, Target, Threshold, parse_threshold

__all__ = ["REQUESTS_PER_WORKER", "Job", "problems_of"]

REQUESTS_PER_WORKER = 500
"""What one worker process sends a second and still times to the millisecond (measured)."""


@dataclass(frozen=True)
class Job:
    """One load test with everything it refers to.

    Raises UsageError when the declaration does not hold together.
    """

    name: str
    test: LoadTest
    journeys: Mapping[str, Journey]
    shop: Shop
    targets: Targets

    def __post_init__(self) -> None:
        found = problems_of(self.name, self.test, self.journeys)
        if found:
            raise UsageError("\n".join(found))

    @cached_property
    def shape(self) -> Shape:
        """The curve of the test."""
        return Shape.of(self.test)

    @property
    def arrivals(self) -> Iterator[Arrival]:
        """All arrivals, laid out afresh; none in a closed model."""
        return iter(()) if self.test.closed else self.shape.arrivals()

    @cached_property
    def used(self) -> dict[str, Journey]:
        """The journeys of this test, in the order of its mix."""
        return {name: self.journeys[name] for name in _names_of(self.test, self.journeys)}

    @cached_property
    def names(self) -> Names:
        """What its thresholds may name."""
        return _names(self.used)

    @cached_property
    def thresholds(self) -> tuple[tuple[Threshold, Target], ...]:
        """Its thresholds with what they name."""
        parsed = [parse_threshold(text) for text in self.test.thresholds]
        return tuple((threshold, self.names.resolve(threshold)) for threshold in parsed)

    @property
    def tightest(self) -> float | None:
        """The tightest latency threshold in seconds, which decides how punctual we must be."""
        limits = [t.limit for t, _ in self.thresholds if t.is_latency and t.op in ("<", "<=")]
        return min(limits, default=None)

    @cached_property
    def expected(self) -> Counter[str]:
        """Arrivals of each journey."""
        counts: Counter[str] = Counter(dict.fromkeys(self.used, 0))
        counts.update(arrival.journey for arrival in self.arrivals)
        return counts

    @property
    def requests(self) -> int:
        """Steps that will be sent if all goes well; redirects and resends come on top."""
        return sum(count * len(self.used[name].steps) for name, count in self.expected.items())

    @property
    def orders(self) -> int:
        """Orders that will be placed if all goes well."""
        return sum(n for name, n in self.expected.items() if self.used[name].side_effects != "none")

    @property
    def peak_requests(self) -> float:
        """Steps a second at the highest stage."""
        mix = self.shape.mix
        return self.shape.peak * sum(mix[name] * len(self.used[name].steps) for name in mix)

    @property
    def workers_needed(self) -> int:
        """Worker processes that the peak asks for."""
        return max(1, math.ceil(self.peak_requests / REQUESTS_PER_WORKER))

    @property
    def drain(self) -> float:
        """Seconds that journeys in flight get after the last arrival: none is cut off early."""
        slowest = max(j.timeout + j.cleanup_timeout + _pauses(j) for j in self.used.values())
        return slowest + 1.0

    def admit(self) -> Admission:
        """Ask the allow-list about the shop's address.

        Raises:
            Refused: not admitted.
            Transient: its name cannot be resolved now.
        """
        _, host, port = origin_of(self.shop.base_url)
        try:
            return Guard(self.targets.allow, self.shop.base_url).admit(host, port, 5.0)
        except Unresolved as error:
            raise Transient(f"{error}; check shop.base_url") from error

    def check_production(self, *, allowed: bool) -> None:
        """Raises Refused when this would put load, or orders, on production by accident."""
        if not self.shop.is_production:
            return
        if not allowed:
            raise Refused(
                f"{self.shop.base_url} is production: load there needs "
                "--i-know-this-is-production. If it is not, write shop.environment: staging"
            )
        for journey in self.used.values():
            if journey.side_effects != "none" and not any(step.sandbox for step in journey.steps):
                raise Refused(
                    f"journey {journey.name!r} places orders on production: mark its payment step "
                    "with `sandbox: true` if it pays with a test method, or leave it out"
                )


def problems_of(name: str, test: LoadTest, journeys: Mapping[str, Journey]) -> list[str]:
    """Everything in a load test that does not hold together with the journeys; in words."""
    wanted = _names_of(test, journeys)
    known = ", ".join(journeys) or "none"
    found = [
        f"load test {name!r}: there is no journey {journey!r}; journeys: {known}"
        for journey in wanted
        if journey not in journeys
    ]
    if found:
        return found
    if not wanted:
        return [f"load test {name!r}: there is no journey to run; declare one under journeys"]
    names = _names({journey: journeys[journey] for journey in wanted})
    for text in test.thresholds:
        try:
            names.resolve(parse_threshold(text))
        except ValueError as error:
            found.append(f"load test {name!r}: {error}")
    return found


def _names_of(test: LoadTest, journeys: Mapping[str, Journey]) -> list[str]:
    if not test.closed:
        return list(test.mix)
    return list(test.journeys or journeys)


def _names(journeys: Mapping[str, Journey]) -> Names:
    return Names(
        {
            name: [(step.name, step.group) for step in journey.all_steps]
            for name, journey in journeys.items()
        }
    )


def _pauses(journey: Journey) -> float:
    total = 0.0
    for block in journey.blocks:
        outer = block.repeat.high if block.repeat else 1.0
        for step in block.steps:
            inner = step.repeat.high if step.repeat else 1.0
            total += outer * inner * (step.pause.high if step.pause else 0.0)
    return total
