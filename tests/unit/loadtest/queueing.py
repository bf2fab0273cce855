"""A shop made of arithmetic: c tills, one queue, the same service time for all (M/D/c)."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator, Sequence

from sre.loadtest.capacity.growth import Growth, growth_of
from sre.loadtest.capacity.model import Capacity
from sre.loadtest.capacity.search import End, Level, Showed, Tried, next_step
from sre.loadtest.histogram import Histogram

__all__ = ["arrivals", "level", "search", "served"]


def arrivals(rate: float, seconds: float, seed: str) -> list[float]:
    """As customers come: at exponential distances."""
    draw = random.Random(seed).expovariate
    found, at = [], draw(rate)
    while at < seconds:
        found.append(at)
        at += draw(rate)
    return found


def served(came: Sequence[float], tills: int, service: float) -> Iterator[tuple[float, float]]:
    """(came, left) of each customer."""
    free = [0.0] * tills
    for at in came:
        left = max(at, free[0]) + service
        heapq.heapreplace(free, left)
        yield at, left


def level(
    rate: float, tills: int, service: float, settle: float, measure: float, seed: str
) -> tuple[float, Growth]:
    """(p95 of the response, growth of the queue) of one level."""
    everybody = list(served(arrivals(rate, settle + measure, seed), tills, service))
    responses = Histogram(left - at for at, left in everybody if at >= settle)
    ends = sorted(left for _, left in everybody)
    points, came, gone = [], 0, 0
    for second in range(int(settle), int(settle + measure)):
        while came < len(everybody) and everybody[came][0] < second + 1:
            came += 1
        while gone < len(ends) and ends[gone] < second + 1:
            gone += 1
        points.append((float(second), came - gone))
    return responses.quantile(0.95) or 0.0, growth_of(points, rate)


def search(
    rules: Capacity, mix: float, tills: int, service: float, limit: float, seed: int
) -> tuple[End, list[Tried]]:
    """A whole search; `limit` is the threshold on the p95 of the response."""
    tried: list[Tried] = []
    while isinstance(step := next_step(tried, rules), Level):
        times = rules.confirm if step.confirming else 1.0
        p95, growth = level(
            mix * step.share,
            tills,
            service,
            float(rules.settle),
            float(rules.measure) * times,
            f"{seed}:{len(tried)}",
        )
        held = p95 < limit and not growth.grows
        tried.append(Tried(step, Showed.HELD if held else Showed.BROKE))
    return step, tried
