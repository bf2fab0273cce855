"""Is this load test whole and allowed, and what will it do? (pure, but for one look-up)"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from sre.core.errors import Refused, Transient, UsageError
from sre.journey.guard import Admission, Guard, Unresolved
from sre.journey.model import Block, Journey, Range, Step
from sre.journey.shop import Shop, Targets, origin_of
from sre.loadtest.guards.promise import Promise
from sre.loadtest.model import LoadTest, stages_of
from sre.loadtest.shape import WARMUP, Arrival, Shape
from sre.loadtest.thresholds import Names, Target, Threshold, parse_threshold
from sre.loadtest.truth.crosscheck import faults_of

__all__ = ["REQUESTS_PER_WORKER", "Job", "pauses_of", "problems_of", "times_of"]

REQUESTS_PER_WORKER = 500
"""What one worker process sends a second and still times to the millisecond (measured)."""

COUNTED = 1_000_000
"""So many arrivals a plan counts one by one; a slip of the pen asks for years of them."""


@dataclass(frozen=True)
class Job:
    """One load test with everything it refers to.

    Attributes:
        promises: the objectives of its journeys.

    Raises UsageError when the declaration does not hold together.
    """

    name: str
    test: LoadTest
    journeys: Mapping[str, Journey]
    shop: Shop
    targets: Targets
    promises: tuple[Promise, ...] = ()

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
    def dues(self) -> array[float]:
        """When each customer is due, seconds from the start, in order; empty in a closed model."""
        return array("d", (arrival.due for arrival in self.arrivals))

    @cached_property
    def used(self) -> dict[str, Journey]:
        """The journeys of this test, in the order of its mix."""
        return {name: self.journeys[name] for name in _names_of(self.test, self.journeys)}

    @cached_property
    def names(self) -> Names:
        """What its thresholds may name."""
        return _names(self.test, self.used)

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

    def phases_of(self, stage: str | None) -> frozenset[int]:
        """The phases that a threshold about `stage` looks at; all but the warm-up for None."""
        stages = enumerate(stages_of(self.test))
        return frozenset(number for number, s in stages if stage is None or s.name == stage)

    @cached_property
    def laid_out(self) -> Counter[tuple[str, int]]:
        """Arrivals of each journey in each phase; above `COUNTED` in all, about how many."""
        if self.shape.area * sum(self.shape.mix.values()) <= COUNTED:
            return Counter((arrival.journey, arrival.phase) for arrival in self.arrivals)
        about: Counter[tuple[str, int]] = Counter()
        for journey, phase, count in self.shape.expected():
            about[journey, phase] += round(count)
        return about

    @cached_property
    def expected(self) -> Counter[str]:
        """Arrivals of each journey."""
        counts: Counter[str] = Counter(dict.fromkeys(self.used, 0))
        for (journey, _), count in self.laid_out.items():
            counts[journey] += count
        return counts

    def samples(self, threshold: Threshold, target: Target) -> int | None:
        """About how many samples a threshold will rest on if all goes well; None: closed model."""
        if self.test.closed:
            return None
        phases = self.phases_of(threshold.stage) - {WARMUP}
        customers = sum(self.laid_out[target.journey, phase] for phase in phases)
        if not threshold.is_latency or not target.steps:
            return customers
        journey = self.used[target.journey]
        return round(customers * sum(times_of(journey).get(name, 1.0) for name in target.steps))

    def min_samples(self, threshold: Threshold) -> int:
        """How many samples a threshold needs."""
        return threshold.min_samples or self.test.min_samples

    @property
    def requests(self) -> int:
        """Steps that will be sent if all goes well; redirects and resends come on top."""
        sent = {name: sum(times_of(journey).values()) for name, journey in self.used.items()}
        return round(sum(count * sent[name] for name, count in self.expected.items()))

    @property
    def with_effects(self) -> frozenset[str]:
        """Its journeys with side effects."""
        return frozenset(n for n, each in self.used.items() if each.side_effects != "none")

    @property
    def orders(self) -> int:
        """Orders that will be placed if all goes well."""
        return sum(self.expected[name] for name in self.with_effects)

    @property
    def peak_requests(self) -> float:
        """Steps a second at the highest stage."""
        mix = self.shape.mix
        return self.shape.peak * sum(
            mix[name] * sum(times_of(self.used[name]).values()) for name in mix
        )

    @property
    def workers_needed(self) -> int:
        """Worker processes that the peak asks for."""
        return max(1, math.ceil(self.peak_requests / REQUESTS_PER_WORKER))

    @property
    def drain(self) -> float:
        """Seconds that journeys in flight get after the last arrival: none is cut off early."""
        slowest = max(j.timeout + j.cleanup_timeout + pauses_of(j) for j in self.used.values())
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
    names = _names(test, {journey: journeys[journey] for journey in wanted})
    for text in test.thresholds:
        try:
            names.resolve(parse_threshold(text))
        except ValueError as error:
            found.append(f"load test {name!r}: {error}")
    for metric in test.regression.metrics if test.regression else ():
        try:
            metric.resolve(names)
        except ValueError as error:
            found.append(f"load test {name!r}: {error}")
    faults = faults_of(test, {journey: journeys[journey] for journey in wanted})
    return found + [f"load test {name!r}: {fault.section}: {fault.text}" for fault in faults]


def _names_of(test: LoadTest, journeys: Mapping[str, Journey]) -> list[str]:
    if not test.closed:
        return list(test.mix)
    return list(test.journeys or journeys)


def _names(test: LoadTest, journeys: Mapping[str, Journey]) -> Names:
    return Names(
        {
            name: [(step.name, step.group) for step in journey.all_steps]
            for name, journey in journeys.items()
        },
        [stage.name for stage in stages_of(test)],
    )


def times_of(journey: Journey) -> dict[str, float]:
    """How often a run sends each step, on the average; setup and cleanup left out."""
    found: dict[str, float] = {}
    for step, times in _sent(journey.blocks, 1.0, _mean):
        found[step.name] = found.get(step.name, 0.0) + times
    return found


def pauses_of(journey: Journey) -> float:
    """The longest that a run of it may think, in seconds; setup and cleanup left out."""
    sent = _sent(journey.blocks, 1.0, lambda repeat: repeat.high)
    return sum(times * step.pause.high for step, times in sent if step.pause)


def _mean(repeat: Range) -> float:
    return (int(repeat.low) + int(repeat.high)) / 2


def _sent(
    blocks: Iterable[Block], times: float, often: Callable[[Range], float]
) -> Iterator[tuple[Step, float]]:
    """Every step with how often it is sent; `often` says what a `repeat` comes to."""
    for block in blocks:
        inside = times * (often(block.repeat) if block.repeat else 1.0)
        for part in block.parts:
            if isinstance(part, Block):
                yield from _sent((part,), inside, often)
            else:
                yield part, inside * (often(part.repeat) if part.repeat else 1.0)
