"""How likely is such a difference by chance, and how large must one be to be seen? (pure)

Student's t, its power against a true difference, exact intervals of shares, the sign-flip test
and Holm's correction, without numpy: a gate must run where only the toolkit is installed.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from statistics import NormalDist

__all__ = [
    "beta_cdf",
    "beta_quantile",
    "binomial_bounds",
    "holm",
    "power",
    "sign_flip",
    "t_cdf",
    "t_quantile",
]

_NORMAL = NormalDist()
_TINY = 1e-300
_MOST_FLIPS = 16
_PANELS = 200
_PANELS_NEAR_NOTHING = 2000  # with one or two degrees of freedom the density is steep at 0


def beta_cdf(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function, by its continued fraction (Lentz)."""
    if x <= 0.0 or x >= 1.0:
        return 0.0 if x <= 0.0 else 1.0
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - beta_cdf(1.0 - x, b, a)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    log_front += a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_front) / a * _fraction(x, a, b)


def _fraction(x: float, a: float, b: float) -> float:
    c, d = 1.0, 1.0 / _nonzero(1.0 - (a + b) * x / (a + 1.0))
    found = d
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        step = 1.0
        for term in (even, odd):
            d = 1.0 / _nonzero(1.0 + term * d)
            c = _nonzero(1.0 + term / c)
            step = c * d
            found *= step
        if abs(step - 1.0) < 1e-15:
            break
    return found


def _nonzero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def beta_quantile(p: float, a: float, b: float) -> float:
    """The `x` that `beta_cdf` takes to `p`."""
    return _bisect(lambda x: beta_cdf(x, a, b), p, 0.0, 1.0)


def _bisect(rising: Callable[[float], float], wanted: float, low: float, high: float) -> float:
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if rising(middle) < wanted:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def t_cdf(t: float, df: float) -> float:
    """Student's distribution function; `df` may be a fraction (Welch)."""
    if math.isinf(t):
        return 1.0 if t > 0 else 0.0
    tail = 0.5 * beta_cdf(df / (df + t * t), df / 2, 0.5)
    return 1.0 - tail if t > 0 else tail


@lru_cache(maxsize=4096)
def t_quantile(p: float, df: float) -> float:
    """The `t` that `t_cdf` takes to `p`, 0 < p < 1."""
    if p == 0.5:
        return 0.0
    if p < 0.5:
        return -t_quantile(1.0 - p, df)
    x = beta_quantile(2.0 * (1.0 - p), df / 2, 0.5)
    return math.sqrt(df * (1.0 - x) / x)


def power(effect: float, error: float, df: float, alpha: float, floor: float = -math.inf) -> float:
    """How often a one-sided t-test at `alpha` finds a true `effect`, and finds it above `floor`.

    Args:
        error: the true standard error of the estimate; its own estimate has `df` degrees.
        floor: the estimate itself must exceed it too.

    The estimate and its estimated error are independent, so this is one integral over the latter;
    without a floor it is the power of the noncentral t distribution.
    """
    if error <= 0.0:
        return 1.0 if effect > max(0.0, floor) else 0.0
    critical = t_quantile(1.0 - alpha, df)
    return _over_chi(lambda u: _NORMAL.cdf((effect - max(floor, critical * error * u)) / error), df)


def _over_chi(seen: Callable[[float], float], df: float) -> float:
    """The mean of `seen(u)` where u is sqrt(chi squared / df), by Simpson's rule."""
    spread = 1.0 / math.sqrt(2.0 * df)
    low, high = max(0.0, 1.0 - 12.0 * spread), 1.0 + 12.0 * spread
    log_scale = math.log(2.0) + df / 2 * math.log(df / 2) - math.lgamma(df / 2)
    panels = _PANELS_NEAR_NOTHING if df < 3 else _PANELS
    step = (high - low) / panels
    total = 0.0
    for index in range(panels + 1):
        u = low + index * step
        weight = 1.0 if index in (0, panels) else 4.0 if index % 2 else 2.0
        total += weight * seen(u) * _chi_density(u, df, log_scale)
    return total * step / 3.0


def _chi_density(u: float, df: float, log_scale: float) -> float:
    if u <= 0.0:
        return math.exp(log_scale) if df == 1 else 0.0
    return math.exp(log_scale + (df - 1.0) * math.log(u) - df * u * u / 2.0)


def sign_flip(differences: Sequence[float]) -> float | None:
    """The exact one-sided p of paired differences: in how many of the 2^R worlds, in each of which
    some pairs change sides, is their mean as high? None above 16 pairs, where t is as good.
    """
    if not differences or len(differences) > _MOST_FLIPS:
        return None
    seen = sum(differences) - 1e-12 * sum(abs(d) for d in differences)
    worlds = itertools.product((1.0, -1.0), repeat=len(differences))
    as_high = sum(
        sum(sign * d for sign, d in zip(signs, differences, strict=True)) >= seen
        for signs in worlds
    )
    return float(as_high / 2 ** len(differences))


def binomial_bounds(count: int, of: int, confidence: float) -> tuple[float, float]:
    """Clopper's and Pearson's exact two-sided interval of a share."""
    if of <= 0:
        return 0.0, 1.0
    rest = (1.0 - confidence) / 2
    low = 0.0 if count <= 0 else beta_quantile(rest, count, of - count + 1)
    high = 1.0 if count >= of else beta_quantile(1.0 - rest, count + 1, of - count)
    return low, high


def holm(ps: Mapping[str, float]) -> dict[str, float]:
    """Holm's adjusted p of each name: below alpha means found, whatever else was looked at."""
    adjusted: dict[str, float] = {}
    worst = 0.0
    for rank, (name, p) in enumerate(sorted(ps.items(), key=lambda item: item[1])):
        worst = max(worst, min(1.0, p * (len(ps) - rank)))
        adjusted[name] = worst
    return {name: adjusted[name] for name in ps}
