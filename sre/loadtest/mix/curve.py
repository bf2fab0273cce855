"""Which few straight lines are the curve of these counts, and do customers come one by one? (pure)

The curve is a continuous piecewise linear one, fitted to all counts at once and scaled so that it
sends as many customers as came. Knots are added where they take away the most, and only while they
take away more than the noise of counting would.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from sre.loadtest.mix.fit import solve

__all__ = ["Bin", "Bursts", "Knot", "Leg", "bursts", "knots_of", "legs_of", "noise_of"]

_MAX_KNOTS = 10
_TRUST = 0.01
"""What is closer to a line than this share of it is on the line."""
_ABOUT = 2
"""Neighbours on each side that tell how many requests a bin was to have."""


class Bin(NamedTuple):
    """Requests in a stretch of time."""

    seconds: float
    requests: int


class Knot(NamedTuple):
    """A point of the curve: seconds from its start, requests a second."""

    at: float
    rate: float


class Leg(NamedTuple):
    """One stage: how long, and the level it goes to as a share of the mix.

    Attributes:
        flat: it holds the level that it has.
    """

    seconds: float
    level: float
    flat: bool


class Bursts(NamedTuple):
    """How customers come.

    Attributes:
        dispersion: variance over mean of their number in a cell; 1 for customers who know nothing
            of each other, more when they come in bursts, less when something paces them.
        cell: seconds.
        cells: how many there were.
    """

    dispersion: float
    cell: int
    cells: int


def noise_of(bins: Sequence[Bin]) -> float:
    """Variance over mean of the counts, from how far each is from the middle of its neighbours.

    A customer makes several requests, so it is more than 1.
    """
    counts = [one.requests for one in bins if one.seconds == bins[0].seconds]
    bends = [(a - 2 * b + c) ** 2 / 6 for a, b, c in zip(counts, counts[1:], counts[2:])]  # noqa: B905
    mean = sum(counts) / max(1, len(counts))
    return max(1.0, sum(bends) / len(bends) / mean) if bends and mean else 1.0


def knots_of(bins: Sequence[Bin]) -> list[Knot]:
    """The curve through these counts."""
    weights = _weights(bins, noise_of(bins))
    edges = [0.0]
    for one in bins:
        edges.append(edges[-1] + one.seconds)
    chosen = [0, len(bins)]
    values, misfit = _fitted(bins, edges, chosen, weights)
    enough = 2.0 * math.log(max(len(bins), 2)) + 2.0
    while len(chosen) < _MAX_KNOTS:
        tries = [
            (*_fitted(bins, edges, sorted([*chosen, one]), weights), one)
            for one in range(1, len(bins))
            if one not in chosen
        ]
        best = min(tries, key=lambda each: (each[1], each[2]), default=None)
        if best is None or misfit - best[1] < enough:
            break
        values, misfit = best[0], best[1]
        chosen = sorted([*chosen, best[2]])
    knots = [Knot(edges[i], max(0.0, value)) for i, value in zip(chosen, values, strict=True)]
    return _scaled(knots, sum(one.requests for one in bins))


def _scaled(knots: list[Knot], total: int) -> list[Knot]:
    """The same curve, sending `total` requests."""
    sent = sum((b.at - a.at) * (a.rate + b.rate) / 2 for a, b in pairwise(knots))
    return [knot._replace(rate=knot.rate * total / sent) for knot in knots] if sent else knots


def _weights(bins: Sequence[Bin], noise: float) -> list[float]:
    """How much each count says: one over the variance of its rate.

    The variance follows from the mean about it, not from the count itself: bins with few requests
    by chance would count more than those with many, and the curve would lie too low.
    """
    found = []
    for number, one in enumerate(bins):
        about = bins[max(0, number - _ABOUT) : number + _ABOUT + 1]
        rate = sum(each.requests for each in about) / sum(each.seconds for each in about)
        mean = rate * one.seconds
        variance = (mean + 1) * max(noise, 0.1) + (_TRUST * mean) ** 2
        found.append(one.seconds**2 / variance)
    return found


def _fitted(
    bins: Sequence[Bin], edges: Sequence[float], chosen: Sequence[int], weights: Sequence[float]
) -> tuple[list[float], float]:
    """Rates at the chosen edges, and the weighted sum of squares that is left."""
    size = len(chosen)
    gram = [[0.0] * size for _ in range(size)]
    right = [0.0] * size
    parts: list[tuple[int, float, float, float]] = []
    leg = 0
    for number, one in enumerate(bins):
        while chosen[leg + 1] <= number:
            leg += 1
        start, end = edges[chosen[leg]], edges[chosen[leg + 1]]
        share = ((edges[number] + edges[number + 1]) / 2 - start) / (end - start)
        rate = one.requests / one.seconds
        weight = weights[number]
        for i, a in ((leg, 1 - share), (leg + 1, share)):
            right[i] += weight * a * rate
            for j, b in ((leg, 1 - share), (leg + 1, share)):
                gram[i][j] += weight * a * b
        parts.append((leg, share, rate, weight))
    values = solve(gram, right)
    misfit = math.fsum(
        weight * (rate - (1 - share) * values[leg] - share * values[leg + 1]) ** 2
        for leg, share, rate, weight in parts
    )
    return values, misfit


def legs_of(knots: Sequence[Knot], duration: float, full: float) -> list[Leg]:
    """The curve within `duration` seconds, as stages; `full` is the rate that 100 % stands for.

    The first stage leads up to where the curve begins; it takes a twentieth of the time, a minute
    at most. Levels are whole percents.
    """
    first = _percent(knots[0].rate / full)
    lead = min(60.0, duration / 20) if first > 0 else 0.0
    scale = (duration - lead) / knots[-1].at
    legs = [Leg(lead, first, flat=False)] if lead else []
    level = first
    for before, after in pairwise(knots):
        seconds, target = (after.at - before.at) * scale, _percent(after.rate / full)
        legs.append(Leg(seconds, target, flat=bool(legs) and abs(target - level) < 0.015))
        level = level if legs[-1].flat else target
        if legs[-1].flat:
            legs[-1] = legs[-1]._replace(level=level)
    return _timed(legs, duration)


def _timed(legs: Sequence[Leg], duration: float) -> list[Leg]:
    """Whole seconds (tenths in a short test) that add up; stages that would be 0 are left out."""
    step = 1.0 if duration >= 60 else 0.1
    found: list[Leg] = []
    at = done = 0.0
    for leg in legs:
        at += leg.seconds
        seconds = round(round((at - done) / step) * step, 1)
        if seconds > 0:
            found.append(leg._replace(seconds=seconds))
            done = round(done + seconds, 1)
    return found


def _percent(share: float) -> float:
    return round(max(0.0, share), 2)


def bursts(minutes: Mapping[int, Sequence[int]], start: float, end: float) -> Bursts | None:
    """How customers came between two times; None when there were too few to tell.

    Within blocks of sixty cells, so that neither the hours of a day nor a campaign count as bursts.
    """
    first, last = math.ceil(start), math.floor(end)
    total = sum(_at(minutes, second) for second in range(first, last))
    for cell in (1, 10):
        cells = (last - first) // cell
        mean = total * cell / max(1, last - first)
        if mean < 0.5 or cells < 30:
            continue
        counts = [
            sum(_at(minutes, first + number * cell + second) for second in range(cell))
            for number in range(cells)
        ]
        spread = [_variance(counts[at : at + 60]) for at in range(0, cells - 29, 60)]
        mean = sum(counts) / cells
        return Bursts(sum(spread) / len(spread) / mean, cell, cells)
    return None


def _at(minutes: Mapping[int, Sequence[int]], second: int) -> int:
    cells = minutes.get(second // 60)
    return cells[second % 60] if cells is not None else 0


def _variance(counts: Sequence[int]) -> float:
    mean = sum(counts) / len(counts)
    return sum((count - mean) ** 2 for count in counts) / (len(counts) - 1)
