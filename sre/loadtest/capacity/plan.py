"""How far may a search go: which levels, how long, how many orders? (pure)"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from sre.core.units import Duration, Share, format_duration
from sre.loadtest.capacity.level import base_job, level_job, rates_at
from sre.loadtest.capacity.model import Capacity
from sre.loadtest.capacity.search import RETRIES, End, Level, Showed, Tried, next_step
from sre.loadtest.guards.caps import caps_of
from sre.loadtest.job import Job
from sre.loadtest.model import Stage
from sre.loadtest.output.render import Table
from sre.loadtest.thresholds import ThresholdSpec

__all__ = ["Reach", "plan_data", "plan_text", "reach_of", "within_caps", "worst_job"]


@dataclass(frozen=True)
class Reach:
    """How far a search may go at most.

    Attributes:
        levels: the shares of the mix that are tried on the way up, if everything holds.
        longest: the levels of the search that sends for the longest.
        busiest: the levels of the search that sends the most.
    """

    levels: tuple[float, ...]
    longest: tuple[Level, ...]
    busiest: tuple[Level, ...]


def within_caps(job: Job, rules: Capacity) -> Capacity:
    """The rules with a limit: the declared one, else as far as the cap on requests allows."""
    if rules.limit is not None:
        return rules
    mix = base_job(job, 1.0, 1.0)
    room = next(cap.limit for cap in caps_of(mix) if cap.key == "requests") / mix.peak_requests
    top = max(float(rules.from_), min(rules.top, room))
    return replace(rules, limit=Share(float(f"{top:.4g}") if top < room else top))


def reach_of(job: Job, rules: Capacity) -> Reach:
    """Everything that a search may come to, whatever the shop does."""

    @cache
    def seconds(level: Level) -> float:
        return level_job(job, level, rules).shape.seconds

    up: list[Tried] = []
    while isinstance(step := next_step(up, rules), Level):
        up.append(Tried(step, Showed.HELD))
    paths = list(_paths([], rules))

    def worst(cost: Callable[[Level], float]) -> tuple[Level, ...]:
        path = max(paths, key=lambda path: sum(cost(level) for level in path))
        return (*path, *sorted(path, key=cost)[-RETRIES:])

    return Reach(
        tuple(tried.level.share for tried in up),
        worst(seconds),
        worst(lambda level: level.share * seconds(level)),
    )


def _paths(tried: list[Tried], rules: Capacity) -> Iterator[tuple[Level, ...]]:
    """The levels of every search there can be; the shop decides which."""
    step = next_step(tried, rules)
    if isinstance(step, End):
        yield tuple(each.level for each in tried)
        return
    for showed in (Showed.HELD, Showed.BROKE):
        yield from _paths([*tried, Tried(step, showed)], rules)


def worst_job(job: Job, levels: tuple[Level, ...], rules: Capacity) -> Job:
    """A load test that sends all these levels one after the other, with each look at the shop."""
    stages = []
    for level in levels:
        shape = level_job(job, level, rules).shape
        stages.append(Stage(step=Share(level.share), hold=Duration(shape.seconds)))
        if level.share > rules.lowest:
            base = Share(max(float(rules.lowest), level.share / rules.factor))
            stages.append(Stage(step=base, hold=rules.recovery))
    held = level_job(job, levels[0], rules)
    return replace(held, test=replace(held.test, stages=tuple(stages), warmup=Duration(0.0)))


def plan_data(job: Job, rules: Capacity, reach: Reach) -> dict[str, Any]:
    """What the search may do, JSON-ready (schema sre.capacity-plan/1)."""
    shares = [*reach.levels]
    return {
        "schema": "sre.capacity-plan/1",
        "name": job.name,
        "target": job.shop.base_url,
        "environment": job.shop.environment or "not declared",
        "levels": [
            {
                "percent": round(share * 100, 2),
                "arrivals_per_second": {n: round(r, 6) for n, r in rates_at(job, share).items()},
                "seconds": level_job(job, Level(share), rules).shape.seconds,
            }
            for share in shares
        ],
        "lowest_percent": round(rules.lowest * 100, 2),
        "precision_percent": round(rules.precision * 100, 2),
        "longest_seconds": worst_job(job, reach.longest, rules).shape.seconds,
        "most_orders": worst_job(job, reach.busiest, rules).orders,
        "thresholds": [t.expression for t, _ in level_job(job, Level(1.0), rules).thresholds],
        "left_out": [
            f"{each.that} in {each.in_}"
            for each in job.test.thresholds
            if isinstance(each, ThresholdSpec) and each.in_ is not None
        ],
    }


def plan_text(data: dict[str, Any], table: Table) -> str:
    """`plan_data` for people."""
    rows = [
        [
            f"{level['percent']:g}%",
            ", ".join(
                f"{name} {rate:.4g}/s" for name, rate in level["arrivals_per_second"].items()
            ),
            format_duration(level["seconds"]),
        ]
        for level in data["levels"]
    ]
    lines = [
        f"{data['name']}: a search against {data['target']} ({data['environment']})",
        "",
        table(["level", "arrivals", "lasts"], rows, right=["level", "lasts"]).rstrip("\n"),
        "",
        "upwards until a level breaks (or down to "
        f"{data['lowest_percent']:g}% if the first does), then between the two to "
        f"{data['precision_percent']:g}%, then once more for longer",
        f"thresholds: {', '.join(data['thresholds'])}",
        *(f"not asked of a level, which has no such stage: {each}" for each in data["left_out"]),
        f"at most {format_duration(data['longest_seconds'])} and {data['most_orders']} orders; "
        "a level ends early when it cannot hold any more",
    ]
    return "\n".join(lines)
