"""What is run at one level of the search, and what did it show? (pure)"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sre.core.units import Duration, Share
from sre.loadtest.capacity.growth import Growth, growth_of
from sre.loadtest.capacity.model import Capacity
from sre.loadtest.capacity.search import Level, Showed
from sre.loadtest.job import Job, pauses_of
from sre.loadtest.judge.report import Report
from sre.loadtest.judge.validity import Cause
from sre.loadtest.judge.verdict import State, VerdictName
from sre.loadtest.model import Stage
from sre.loadtest.thresholds import ThresholdSpec, parse_threshold

__all__ = [
    "Stop",
    "base_job",
    "growth_in",
    "judge_level",
    "level_job",
    "promises_of",
    "rates_at",
    "settle_of",
]

_LONGEST = 1800.0
"""Seconds; a journey that is so rare that this does not give samples enough cannot be judged."""
_BROKEN = frozenset({Cause.UNGATED_FAILURES, Cause.NO_SAMPLES})


@dataclass(frozen=True)
class Stop:
    """Why a level was stopped early: it could not hold any more.

    Attributes:
        is_outcome: customers were turned away, which no trouble of the generator excuses.
    """

    words: str
    is_outcome: bool


def promises_of(job: Job) -> tuple[str | ThresholdSpec, ...]:
    """The thresholds that hold for every level: all but those about one stage of the curve."""
    found: list[str | ThresholdSpec] = []
    for declared in job.test.thresholds:
        if isinstance(declared, str):
            found.append(declared)
        elif declared.in_ is None:
            found.append(replace(declared, abort=False, after=None, over=None))
    return tuple(found)


def level_job(job: Job, level: Level, rules: Capacity) -> Job:
    """The load test of one level: the mix at that share, settled, then measured."""
    settle = settle_of(job, rules)
    return _held(job, level.share, settle, _measure(job, level, rules))


def _held(job: Job, share: float, settle: float, measure: float) -> Job:
    stage = Stage(step=Share(share), hold=Duration(settle + measure))
    test = replace(
        job.test,
        profile=None,
        stages=(stage,),
        warmup=Duration(settle),
        thresholds=promises_of(job),
        regression=None,
        abort_on_burn=job.test.abort_on_burn if job.shop.is_production else False,
    )
    return replace(job, test=test)


def base_job(job: Job, share: float, seconds: float) -> Job:
    """The mix at `share` for so long, to see whether the shop serves well again."""
    return _held(job, share, 0.0, seconds)


def settle_of(job: Job, rules: Capacity) -> float:
    """Seconds until as many customers are under way as there ever will be."""
    return max(float(rules.settle), *(pauses_of(journey) for journey in job.used.values()))


def rates_at(job: Job, share: float) -> dict[str, float]:
    """Arrivals a second of each journey at that level."""
    return {name: float(rate) * share for name, rate in job.test.mix.items()}


def _measure(job: Job, level: Level, rules: Capacity) -> float:
    slowest = min(job.test.mix.values()) * level.share
    parsed = [parse_threshold(declared) for declared in promises_of(job)]
    samples = max([t.min_samples or job.test.min_samples for t in parsed], default=0)
    enough = min(_LONGEST, (samples + 4 * math.sqrt(samples)) / slowest)
    seconds = max(float(rules.measure), enough, rules.arrivals / slowest)
    return seconds * (rules.confirm if level.confirming else 1.0)


def growth_in(report: Report, rate: float) -> Growth:
    """How journeys in flight changed while the level was measured."""
    facts = report.facts
    points = [
        (point.at, point.in_flight)
        for point in report.points
        if facts.warmup <= point.at and point.at + report.slot <= facts.planned_seconds
    ]
    return growth_of(points, rate)


def judge_level(
    report: Report, growth: Growth, stop: Stop | None = None
) -> tuple[Showed, tuple[str, ...]]:
    """What a level showed, and why, the weightiest first.

    A level holds only if its thresholds are kept, nobody was dropped, the queue did not grow and
    the generator is beyond doubt.
    """
    spoilt = [doubt.text for doubt in report.verdict.doubts if doubt.spoils_latency]
    if stop is not None:
        if spoilt and not stop.is_outcome:
            return Showed.UNMEASURED, tuple(spoilt)
        return Showed.BROKE, (stop.words,)
    if report.verdict.name is VerdictName.FAILED and not (spoilt and _only_dropped(report)):
        return Showed.BROKE, report.verdict.reasons
    if spoilt:
        return Showed.UNMEASURED, tuple(spoilt)
    if broken := _broken(report):
        return Showed.BROKE, broken
    if report.verdict.name is not VerdictName.PASSED:
        return Showed.UNMEASURED, report.verdict.reasons
    return (Showed.BROKE, (growth.words,)) if growth.grows else (Showed.HELD, ())


def _broken(report: Report) -> tuple[str, ...]:
    """What a gate calls in doubt but a search knows to be the shop's."""
    own = [doubt.text for doubt in report.verdict.doubts if doubt.cause in _BROKEN]
    dropped = _dropped(report)
    return (dropped, *own) if dropped else tuple(own)


def _dropped(report: Report) -> str:
    dropped: Mapping[str, int] = {part.label: part.tally.dropped for part in report.journeys}
    total = sum(dropped.values())
    return f"{total} customers were dropped: max_in_flight was reached" if total else ""


def _only_dropped(report: Report) -> bool:
    broken = [check.threshold for check in report.checks if check.state is State.BROKEN]
    outcomes: Sequence[str] = [t.measure for t in broken if not t.is_latency]
    return set(outcomes) == {"dropped"} and not any(
        finding.state is State.BROKEN for finding in report.findings
    )
