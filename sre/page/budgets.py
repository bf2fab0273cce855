"""How much of an objective's error budget is left, and how fast does it burn? (pure)

The arithmetic is that of the generated alerts (`sre.slo.burn`), over the page's own counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Literal

from sre.page.counts import Track
from sre.page.history import History, subject_of
from sre.page.model import Budget
from sre.probes.model import Check
from sre.slo import windows
from sre.slo.burn import Sample, budget_left, burn_rates, error_ratio
from sre.slo.model import Objective

__all__ = ["POINTS", "budget_of", "promise_of", "samples_of"]

POINTS = 60
"""Pieces of the curve that shows how a budget went."""


def budget_of(
    objective: Objective, checks: Iterable[Check], history: History, now: float
) -> Budget:
    """One objective at `now`."""
    track = history.track(subject_of(objective))
    samples = samples_of(track, now, latency=objective.is_latency)
    inside = [sample for sample in samples if now - objective.window < sample.at]
    total = sum(sample.total for sample in inside)
    every = _every(objective, checks)
    pairs = windows.pairs_of(objective, every)
    base = windows.base_window(pairs)
    longest = max(pair.long for pair in pairs)
    recent = [sample for sample in inside if now - longest < sample.at]
    ratio = error_ratio(recent, now, base)
    since = track.since(now)
    return Budget(
        name=objective.name,
        promise=promise_of(objective),
        window=float(objective.window),
        burn_window=float(base),
        left=budget_left(inside, now, objective),
        burn=None if ratio is None else ratio / windows.budget_of(objective),
        fires=_fires(recent, now, objective, every),
        bad=total - sum(sample.good for sample in inside),
        total=total,
        covered=0.0 if since is None else min(float(objective.window), now - since),
        curve=_curve(inside, now, windows.budget_of(objective)),
    )


def _curve(inside: Sequence[Sample], now: float, budget: Fraction) -> tuple[float, ...]:
    """How today's budget was used up: 1 at the beginning of the history, `left` at its end."""
    allowed = float(budget) * sum(sample.total for sample in inside)
    if not allowed:
        return ()
    begin = min(sample.at for sample in inside)
    width = max(now - begin, 1.0) / POINTS
    bad = [0] * POINTS
    for sample in inside:
        at = min(POINTS - 1, int((sample.at - begin) / width))
        bad[at] += sample.total - sample.good
    spent = 0
    left = [1.0]
    for count in bad:
        spent += count
        left.append(1.0 - spent / allowed)
    return tuple(left)


def samples_of(track: Track, now: float, *, latency: bool) -> list[Sample]:
    """The counts as events at the end of their minute or hour, or now, while that still runs.

    So a window begins with the whole minute (further back: hour) that it cuts: it is at most that
    much longer than its name, never shorter.
    """
    return [
        Sample(min(float(end), now), cell.good + (0 if latency else cell.slow), cell.total)
        for _, end, cell in track.cells(now)
    ]


def promise_of(objective: Objective) -> str:
    """`99% of checkout runs good within 2 s, over 30 days`."""
    target = f"{windows.number(100 * (1 - windows.budget_of(objective)))}%"
    fast = "" if objective.below is None else f" within {float(objective.below):g} s"
    return (
        f"{target} of {objective.subject} runs good{fast}, over {windows.words(objective.window)}"
    )


def _fires(
    samples: list[Sample], now: float, objective: Objective, every: float
) -> Literal["", "ticket", "page"]:
    firing = {b.pair.severity for b in burn_rates(samples, now, objective, every) if b.fires}
    return "page" if "page" in firing else "ticket" if firing else ""


def _every(objective: Objective, checks: Iterable[Check]) -> float:
    """Seconds between the runs of the slowest probe that watches it."""
    journey = objective.journey or (objective.step or "").partition("/")[0]
    watching = (
        check.every
        for check in checks
        if (check.journey == journey if journey else check.name == objective.probe)
    )
    return max(watching, default=60.0)
