"""Which difference can so many runs see, and how many runs does a difference need? (pure)

"See" means: found in 80 of 100 such comparisons. Differences are of logarithms, so 0.1 is about
10 %; `sd` is that of one run.
"""

from __future__ import annotations

import math
from enum import StrEnum
from functools import lru_cache
from statistics import NormalDist

from sre.loadtest.history.statistics import power

__all__ = ["POWER", "Design", "cautious", "runs_for", "smallest_effect", "smallest_share"]

POWER = 0.8
_MOST = 500
_FIFTH = NormalDist().inv_cdf(0.2)


class Design(StrEnum):
    """How runs are held against each other."""

    PAIRS = "pairs"
    """R runs of each, each pair side by side."""
    GROUPS = "groups"
    """R runs of each, in any order (Welch)."""
    HISTORY = "history"
    """One run against the K before it (prediction bound)."""
    ANCHOR = "anchor"
    """One run against one other, with the noise of the K runs of the history."""
    SINGLE = "single"
    """One run against one other: nothing is known about noise, so nothing is judged."""

    def error(self, sd: float, runs: int) -> float:
        """The standard error of the difference."""
        if self is Design.HISTORY:
            return sd * math.sqrt(1.0 + 1.0 / runs)
        if self is Design.ANCHOR:
            return sd * math.sqrt(2.0)
        return sd * math.sqrt(2.0 / runs)

    def freedom(self, runs: int) -> float:
        """Degrees of freedom of its estimate."""
        return 2.0 * (runs - 1) if self is Design.GROUPS else float(runs - 1)


@lru_cache(maxsize=4096)
def _shift(df: float, alpha: float) -> float:
    """How many standard errors the truth must be away from nothing to be seen."""
    low, high = 0.0, 1.0
    while power(high, 1.0, df, alpha) < POWER:
        low, high = high, high * 2.0
    for _ in range(40):
        middle = (low + high) / 2
        if power(middle, 1.0, df, alpha) < POWER:
            low = middle
        else:
            high = middle
    return high


def smallest_effect(error: float, df: float, alpha: float) -> float:
    """The smallest difference that is seen with this standard error."""
    df = df if df == int(df) else math.floor(df * 10) / 10  # of Welch: never too sure
    return _shift(df, alpha) * error


def smallest_share(error: float, df: float, alpha: float) -> float:
    """The same as a share: 0.06 is 6 % slower."""
    effect = smallest_effect(error, df, alpha)
    return math.expm1(effect) if effect < 50 else math.inf


def cautious(sd: float, df: float) -> float:
    """The sd to plan with: the upper limit that the truth keeps in four of five cases.

    An sd from ten runs is an estimate too; who plans with it alone keeps his word every other
    time. By the approximation of Wilson and Hilferty to chi squared.
    """
    third = 1.0 - 2.0 / (9.0 * df) + _FIFTH * math.sqrt(2.0 / (9.0 * df))
    return sd / math.sqrt(third**3)


def runs_for(
    effect: float, sd: float, design: Design, alpha: float, floor: float = -math.inf
) -> int | None:
    """How many runs (or pairs) see `effect`; None when no number up to 500 does.

    Args:
        floor: the estimate must lie above it too, as a rule with `worse_than` asks.
    """
    if not effect > max(0.0, floor):
        return None

    def enough(runs: int) -> bool:
        error, df = design.error(sd, runs), design.freedom(runs)
        if floor == -math.inf:
            return smallest_effect(error, df, alpha) <= effect
        return power(effect, error, df, alpha, floor) >= POWER

    if not enough(_MOST):
        return None
    low, high = 1, _MOST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
