"""How many customers of each journey explain the requests that were counted? (pure)

Non-negative least squares of `counts = visits x customers`. Each route is weighted by what its
count can be trusted to: the noise of counting, and a tenth of itself, because real customers do
not follow a script. So a rare step that only one journey has (the payment) decides about that
journey, and a thousand product pages more do not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Fit", "fit", "nnls", "solve"]

_MODEL = 0.1
"""How far, as a share, customers stray from the script."""

_SAME = 1e-3
"""Journeys whose columns can be made of others to within this share cannot be told apart."""


@dataclass(frozen=True)
class Fit:
    """Customers of each journey.

    Attributes:
        customers: journey -> how many came; 0 for those that the log does not show.
        unseen: journey -> why it is 0.
        alike: groups of journeys that this log cannot tell apart; they share evenly.
        expected: route -> requests that these customers make.
    """

    customers: dict[str, float]
    unseen: dict[str, str]
    alike: tuple[tuple[str, ...], ...]
    expected: dict[int, float]


def fit(visits: Mapping[str, Mapping[int, float]], counts: Mapping[int, float]) -> Fit:
    """Customers of each journey.

    Args:
        visits: journey -> route -> requests of one customer.
        counts: route -> requests that were counted.
    """
    unseen = _unseen(visits, counts)
    left = [name for name in visits if name not in unseen]
    rows = sorted({r for name in left for r in visits[name] if counts.get(r, 0) > 0})
    groups = _groups(left, visits, rows)
    scale = {r: 1 / math.sqrt(counts[r] + (_MODEL * counts[r]) ** 2) for r in rows}
    columns = [[visits[group[0]].get(r, 0.0) * scale[r] for r in rows] for group in groups]
    found = nnls(columns, [counts[r] * scale[r] for r in rows])
    customers = dict.fromkeys(visits, 0.0)
    for group, value in zip(groups, found, strict=True):
        head = visits[group[0]]
        for name in group:
            own = _ratio(visits[name], head, rows)
            customers[name] = value / (len(group) * own)
            if value <= 0:
                unseen[name] = "other journeys explain all requests of its routes"
    expected: dict[int, float] = {}
    for name, count in customers.items():
        for route, times in visits[name].items():
            expected[route] = expected.get(route, 0.0) + count * times
    alike = [tuple(group) for group in groups if len(group) > 1]
    alike += _mixed([group[0] for group in groups], columns)
    return Fit(customers, unseen, tuple(alike), expected)


def _unseen(
    visits: Mapping[str, Mapping[int, float]], counts: Mapping[int, float]
) -> dict[str, str]:
    """Journeys that the log does not show: none of the routes that they alone have was asked for.

    A route of zero requests is no row of the fit: one address that is spelt differently must not
    take a whole journey away.
    """
    found: dict[str, str] = {}
    for name, routes in visits.items():
        others = {r for other, theirs in visits.items() if other != name for r in theirs}
        own = routes.keys() - others
        if not routes:
            found[name] = "no step of it can be recognised in a log"
        elif not any(counts.get(r, 0) > 0 for r in own or routes):
            found[name] = "the log has no request of the steps that it alone has"
            if not own:
                found[name] = "the log has no request of its steps"
    return found


def _ratio(one: Mapping[int, float], head: Mapping[int, float], rows: Sequence[int]) -> float:
    ours, theirs = (sum(each.get(r, 0.0) for r in rows) for each in (one, head))
    return ours / theirs if theirs > 0 else 1.0


def _groups(
    names: Sequence[str], visits: Mapping[str, Mapping[int, float]], rows: Sequence[int]
) -> list[list[str]]:
    """Journeys with the same routes in the same proportion stand together."""
    groups: dict[tuple[float, ...], list[str]] = {}
    for name in names:
        column = [visits[name].get(r, 0.0) for r in rows]
        top = max(column)  # none is empty: `_unseen` has taken out those without a request
        key = tuple(round(value / top, 6) for value in column)
        groups.setdefault(key, []).append(name)
    return list(groups.values())


def _mixed(names: Sequence[str], columns: Sequence[Sequence[float]]) -> list[tuple[str, ...]]:
    """Journeys whose requests are those of several others together."""
    found = []
    for number, column in enumerate(columns):
        others = [c for n, c in enumerate(columns) if n != number]
        size = math.fsum(value * value for value in column)
        if size <= 0 or not others:
            continue
        parts = nnls(others, column)
        rest = [
            value - math.fsum(p * c[i] for p, c in zip(parts, others, strict=True))
            for i, value in enumerate(column)
        ]
        if math.fsum(value * value for value in rest) < _SAME * size:
            made_of = [n for n in range(len(columns)) if n != number]
            used = [names[n] for n, p in zip(made_of, parts, strict=True) if p > _SAME]
            found.append((names[number], *used))
    return found


def nnls(columns: Sequence[Sequence[float]], wanted: Sequence[float]) -> list[float]:
    """x >= 0 with the least |columns x - wanted|, by Lawson and Hanson; deterministic."""
    size = len(columns)
    gram = [[math.fsum(map(_times, a, b)) for b in columns] for a in columns]
    right = [math.fsum(map(_times, a, wanted)) for a in columns]
    x = [0.0] * size
    passive: list[int] = []
    tiny = 1e-10 * max([abs(value) for value in right], default=0.0)
    for _ in range(3 * size + 3):
        slope = [
            right[j] - math.fsum(gram[j][k] * x[k] for k in passive) if j not in passive else 0.0
            for j in range(size)
        ]
        best = max(range(size), key=lambda j: (slope[j], -j), default=-1)
        if best < 0 or slope[best] <= tiny:
            break
        passive.append(best)
        _settle(gram, right, x, passive)
    return x


def _settle(
    gram: Sequence[Sequence[float]], right: Sequence[float], x: list[float], passive: list[int]
) -> None:
    """Solve for the passive ones; those that would be negative leave."""
    while passive:
        trial = solve([[gram[a][b] for b in passive] for a in passive], [right[a] for a in passive])
        negative = [i for i, value in enumerate(trial) if value <= 0]
        if not negative:
            for j, value in zip(passive, trial, strict=True):
                x[j] = value
            return
        step, leaves = min(
            (x[passive[i]] / max(x[passive[i]] - trial[i], 1e-300), passive[i]) for i in negative
        )
        for i, j in enumerate(passive):
            x[j] = max(0.0, x[j] + step * (trial[i] - x[j]))
        x[leaves] = 0.0
        passive.remove(leaves)


def _times(a: float, b: float) -> float:
    return a * b


def solve(matrix: Sequence[Sequence[float]], right: Sequence[float]) -> list[float]:
    """The solution of a small symmetric system; a variable that is not determined becomes 0."""
    size = len(right)
    rows = [[*line, value] for line, value in zip(matrix, right, strict=True)]
    tiny = 1e-12 * max([abs(rows[i][i]) for i in range(size)], default=0.0)
    pivots: list[int] = []
    for column in range(size):
        free = [r for r in range(size) if r not in pivots]
        at = max(free, key=lambda r: (abs(rows[r][column]), -r))
        if abs(rows[at][column]) <= tiny:
            pivots.append(-1 - column)
            continue
        pivots.append(at)
        head = rows[at]
        for r, line in enumerate(rows):
            if r != at and line[column]:
                factor = line[column] / head[column]
                rows[r] = [value - factor * top for value, top in zip(line, head, strict=True)]
    return [
        rows[at][size] / rows[at][column] if at >= 0 else 0.0 for column, at in enumerate(pivots)
    ]
