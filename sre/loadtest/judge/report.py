"""What came of a load test, as data that every renderer reads? (pure)"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from sre.loadtest.book import Book, Series, Tally
from sre.loadtest.histogram import Histogram
from sre.loadtest.job import Job
from sre.loadtest.judge.finding import Finding
from sre.loadtest.judge.validity import Evidence, JourneyCounts
from sre.loadtest.judge.verdict import Check, Measured, Verdict, evaluate
from sre.loadtest.shape import WARMUP
from sre.loadtest.thresholds import Target
from sre.loadtest.trace import Exemplar

__all__ = [
    "Facts",
    "Part",
    "Phase",
    "Point",
    "Report",
    "build_parts",
    "checks_of",
    "counts_of",
    "part_of",
    "phases_of",
    "points_of",
]


@dataclass(frozen=True)
class Facts:
    """What a reader must know to run it again or to compare it.

    Attributes:
        started: ISO 8601, UTC.
        planned_seconds, seconds: how long arrivals were to go on, and how long all of it took.
        stopped: when arrivals were stopped early, in seconds from the start.
        versions: of the toolkit, Python, Locust and libcurl.
        key: what must be the same for another run to be compared, see sre.loadtest.history.key.
    """

    name: str
    run_id: str
    started: str
    target: str
    environment: str
    planned_seconds: float
    seconds: float
    workers: int
    seed: int
    model: str
    warmup: float = 0.0
    stopped: float | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    key: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """A journey, a step or a group with all that was seen of it, warm-up left out.

    Attributes:
        label: how the summary and the thresholds call it.
        tally: arrivals; of the journey that it belongs to.
        slow, broken: traces of the slowest good steps and of failed ones, the slowest first; whole
            journeys have none of their own.
    """

    label: str
    target: Target
    tally: Tally
    series: Series
    examples: tuple[tuple[str, str, str], ...] = ()
    slow: tuple[Exemplar, ...] = ()
    broken: tuple[Exemplar, ...] = ()

    @property
    def measured(self) -> Measured:
        """As thresholds look at it."""
        counts = dict(self.series.counts)
        if self.target.kind == "journey":
            counts["dropped"] = self.tally.dropped
        return Measured(self.tally.arrivals, counts, self.series.response, self.series.service)


@dataclass(frozen=True)
class Point:
    """One stretch of the time series, all journeys together. Counts by the due time.

    Attributes:
        series: journeys that were due in it; `answers` are the steps that ended in it.
        rate: what the declaration says for its beginning, arrivals a second.
        in_flight: journeys under way at its end.
    """

    at: float
    planned: int
    started: int
    series: Series
    rate: float = 0.0
    in_flight: int = 0
    answers: Series = field(default_factory=Series)


@dataclass(frozen=True)
class Phase:
    """One stage with its journeys."""

    label: str
    start: float
    seconds: float
    first: float
    last: float
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True)
class Report:
    """Everything about one run.

    Attributes:
        baseline: journey -> response times of the runs that this one is compared with, good
            answers alone; empty when there is nothing to compare with.
        ledger: a line for each run with side effects; None when no journey has any.
    """

    facts: Facts
    verdict: Verdict
    journeys: tuple[Part, ...]
    steps: tuple[Part, ...]
    groups: tuple[Part, ...]
    checks: tuple[Check, ...]
    evidence: Evidence
    lateness_limit: float
    slot: float
    points: tuple[Point, ...] = ()
    phases: tuple[Phase, ...] = ()
    requests: int = 0
    ambiguous: Mapping[str, int] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    baseline: Mapping[str, Histogram] = field(default_factory=dict)
    ledger: str | None = None


def build_parts(
    job: Job, book: Book
) -> tuple[tuple[Part, ...], tuple[Part, ...], tuple[Part, ...]]:
    """(journeys, steps, groups) of a finished run."""
    journeys = tuple(part_of(job, book, Target("journey", name, name)) for name in job.used)
    parts = [part_of(job, book, target) for target in job.names.parts()]
    return (
        journeys,
        tuple(part for part in parts if part.target.kind == "step"),
        tuple(part for part in parts if part.target.kind == "group"),
    )


def part_of(job: Job, book: Book, target: Target, phases: frozenset[int] | None = None) -> Part:
    """What was seen of a journey, a step or a group in these phases; None: all but the warm-up."""
    label = target.name if target.kind == "journey" else job.names.label(target)
    series, tally = Series(), Tally()
    wanted = target.steps or ("",)
    for (journey, step, at), found in book.series.items():
        if journey == target.journey and step in wanted and _counts(at, phases):
            series.merge(found)
    for (journey, at), arrivals in book.tallies.items():
        if journey == target.journey and _counts(at, phases):
            tally.merge(arrivals)
    examples = tuple(
        (step, reason, text)
        for (journey, step, reason), text in book.examples.items()
        if journey == target.journey and step in wanted
    )
    slow, broken = (
        book.exemplars.of(target.journey, target.steps, failed=failed) for failed in (False, True)
    )
    return Part(label, target, tally, series, examples, slow, broken)


def _counts(at: int, phases: frozenset[int] | None) -> bool:
    return at != WARMUP if phases is None else at in phases


def checks_of(job: Job, book: Book) -> tuple[Check, ...]:
    """Every threshold held against what was seen, in its stage if it names one."""
    checks = []
    for threshold, target in job.thresholds:
        phases = None if threshold.stage is None else job.phases_of(threshold.stage)
        seen = part_of(job, book, target, phases).measured
        checks.append(evaluate(threshold, seen, job.min_samples(threshold)))
    return tuple(checks)


def counts_of(job: Job, journeys: Sequence[Part]) -> dict[str, JourneyCounts]:
    """What doubts about each journey can hang on."""
    declared = [
        (target.journey, threshold.measure)
        for threshold, target in job.thresholds
        if threshold.stage is None  # one about a stage says nothing of the others
    ]
    drops = {name for name, measure in declared if measure == "dropped"}
    outcomes = {name for name, measure in declared if measure in ("ok", "failed")}
    away = {name for name, measure in declared if measure in ("ok", "refused", "throttled")}
    return {
        part.label: JourneyCounts(
            arrivals=part.tally.arrivals,
            answered=part.series.counts.total()
            - part.series.counts["blocked"]
            - part.series.counts["prober"],
            failed=part.series.counts["failed"],
            dropped=part.tally.dropped,
            blocked=part.series.counts["blocked"],
            prober=part.series.counts["prober"],
            prober_said=next((text for _, why, text in part.examples if why == "prober"), ""),
            drops_gated=part.label in drops,
            failures_gated=part.label in outcomes,
            served=part.series.counts["ok"] + part.series.counts["degraded"],
            turned_away_gated=part.label in away,
        )
        for part in journeys
    }


def points_of(job: Job, book: Book, slot: float, until: float) -> tuple[Point, ...]:
    """The time series: planned and started arrivals, outcomes and latencies of each slot."""
    planned = _planned(job, slot, until)
    merged: dict[int, Series] = {}
    for (_, at), series in book.slots.items():
        merged.setdefault(at, Series()).merge(series)
    last = max([len(planned) - 1, *merged, *book.starts], default=-1)
    full = sum(job.shape.mix.values())
    points, in_flight = [], 0
    for at in range(last + 1):
        in_flight += book.starts[at] - book.ends[at]
        points.append(
            Point(
                at * slot,
                planned[at] if at < len(planned) else 0,
                book.starts[at],
                merged.get(at, Series()),
                full * job.shape.level(at * slot),
                in_flight,
                book.answers.get(at, Series()),
            )
        )
    return tuple(points)


def _planned(job: Job, slot: float, until: float) -> list[int]:
    """Customers due in each slot, up to the last in which there are any."""
    dues = job.dues[: bisect_right(job.dues, until)]
    if not dues:
        return []
    edges = [bisect_left(dues, at * slot) for at in range(int(dues[-1] / slot) + 2)]
    return [high - low for low, high in pairwise(edges)]


def phases_of(job: Job, book: Book) -> tuple[Phase, ...]:
    """Each stage with the journeys that were due in it, warm-up left out."""
    return tuple(
        Phase(
            piece.label,
            piece.start,
            piece.seconds,
            piece.first,
            piece.last,
            tuple(
                part_of(job, book, Target("journey", name, name), frozenset({number}))
                for name in job.used
            ),
        )
        for number, piece in enumerate(job.shape.pieces)
    )
