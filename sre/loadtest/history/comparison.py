"""Is it worse than before, is it not, or can nobody tell? (pure)

The unit is the run: each run gives one number for each metric. Latencies are compared by their
logarithms (a t-interval of the ratio), outcomes by their exact counts as well as from run to run.

A regression is: worse, by more than chance explains (the lower bound of the ratio, corrected for
how many metrics were looked at, lies above 1), and by more than was allowed. When that cannot be
ruled out with the noise there is, nobody can tell.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from statistics import fmean, stdev

from sre.loadtest.history.model import Metric
from sre.loadtest.history.power import Design, runs_for, smallest_share
from sre.loadtest.history.record import Observed
from sre.loadtest.history.statistics import (
    beta_cdf,
    binomial_bounds,
    holm,
    sign_flip,
    t_cdf,
    t_quantile,
)

__all__ = ["RESOLUTION", "Compared", "Rule", "State", "compare", "decide", "difference"]

RESOLUTION = 0.003
"""A percentile is true to half a percent, evenly: less noise than that nobody can measure."""


class State(StrEnum):
    """What a comparison says about one metric."""

    REGRESSION = "regression"
    FINE = "fine"
    INCONCLUSIVE = "inconclusive"
    SHOWN = "shown"


@dataclass(frozen=True)
class Rule:
    """When is worse too bad? `alpha` is what may be chance; `at_least` in seconds."""

    worse_than: float
    at_least: float = 0.005
    alpha: float = 0.05

    def allowed(self, metric: Metric, before: float) -> float:
        """The share by which this metric may be worse."""
        if not metric.is_latency or before <= 0:
            return self.worse_than
        return max(self.worse_than, self.at_least / before)


@dataclass(frozen=True)
class Compared:
    """One metric before and now.

    Attributes:
        before, now: seconds (geometric mean of the runs) or shares (of all runs together).
        runs: how many before and now.
        low, high: the one-sided lower and upper bounds of the ratio, each at the confidence asked.
        p: how often chance alone makes it look at least as bad; `adjusted` by Holm.
        flips: the same by the exact sign-flip test; None where pairs are too many, or none.
        sees: the smallest worsening that this comparison finds in 80 of 100 cases.
        needs: runs (or pairs) that would see what is allowed; None when it sees it, or none would.
        sd: of one run, as a share.
    """

    metric: Metric
    design: Design
    before: float
    now: float
    runs: tuple[int, int]
    low: float | None = None
    high: float | None = None
    p: float | None = None
    adjusted: float | None = None
    flips: float | None = None
    sees: float | None = None
    needs: int | None = None
    sd: float | None = None
    allowed: float = 0.0
    state: State = State.SHOWN

    @property
    def ratio(self) -> float:
        """How many times as much as before; infinite from nothing to something."""
        if self.before > 0:
            return self.now / self.before
        return math.inf if self.now > 0 else 1.0

    @property
    def too_bad(self) -> bool:
        """Worse by more than allowed, whatever chance says."""
        return self.ratio > 1.0 + self.allowed


def compare(
    metric: Metric,
    before: Sequence[Observed],
    now: Sequence[Observed],
    design: Design,
    *,
    alpha: float,
    noise: Sequence[Observed] = (),
) -> Compared:
    """One metric, not judged yet.

    Args:
        noise: for Design.ANCHOR, the runs of the history that tell how much runs differ.
    """
    runs = (len(before), len(now))
    if metric.is_latency:
        logs = [math.log(max(o.value, 1e-9)) for o in before]
        own = [math.log(max(o.value, 1e-9)) for o in now]
        found = Compared(metric, design, math.exp(fmean(logs)), math.exp(fmean(own)), runs)
        if design is Design.SINGLE:
            return found
        spread = [math.log(max(o.value, 1e-9)) for o in noise]
        return _with_interval(found, difference(logs, own, design, spread), alpha)
    found = Compared(metric, design, _pooled(before), _pooled(now), runs)
    if design is Design.SINGLE:
        return found
    return _with_counts(found, before, now, alpha, noise)


@dataclass(frozen=True)
class Difference:
    """A difference with its standard error, the degrees of freedom of that, and one run's sd."""

    effect: float
    error: float
    df: float
    sd: float
    flips: float | None = None


def difference(
    before: Sequence[float],
    now: Sequence[float],
    design: Design,
    noise: Sequence[float] = (),
    least: float = RESOLUTION,
) -> Difference:
    """`now` minus `before`. `least` is the smallest sd of one run that is believed."""
    effect = fmean(now) - fmean(before)
    if design is Design.PAIRS:
        steps = [b - a for a, b in zip(before, now, strict=True)]
        sd = max(stdev(steps) / math.sqrt(2.0), least)
        error, df = design.error(sd, len(steps)), design.freedom(len(steps))
        return Difference(effect, error, df, sd, sign_flip(steps))
    if design is Design.GROUPS:
        return _welch(before, now, effect, least)
    sd = max(stdev(noise or before), least)
    runs = len(noise or before)
    return Difference(effect, design.error(sd, runs), design.freedom(runs), sd)


def _welch(
    before: Sequence[float], now: Sequence[float], effect: float, least: float
) -> Difference:
    parts = [(max(stdev(side), least) ** 2 / len(side), len(side) - 1) for side in (before, now)]
    whole = sum(part for part, _ in parts)
    if whole <= 0.0:
        return Difference(effect, 0.0, float(len(before) + len(now) - 2), 0.0)
    df = whole**2 / sum(part**2 / own for part, own in parts)
    runs = 2.0 / (1.0 / len(before) + 1.0 / len(now))
    return Difference(effect, math.sqrt(whole), df, math.sqrt(whole * runs / 2.0))


def _with_interval(found: Compared, seen: Difference, alpha: float) -> Compared:
    reach = t_quantile(1.0 - alpha, seen.df) * seen.error
    return replace(
        found,
        low=_ratio(seen.effect - reach),
        high=_ratio(seen.effect + reach),
        p=1.0 - t_cdf(seen.effect / seen.error, seen.df),
        flips=seen.flips,
        sees=smallest_share(seen.error, seen.df, alpha),
        sd=math.expm1(seen.sd),
    )


def _ratio(log: float) -> float:
    return math.exp(log) if log < 700 else math.inf


def _with_counts(
    found: Compared,
    before: Sequence[Observed],
    now: Sequence[Observed],
    alpha: float,
    noise: Sequence[Observed],
) -> Compared:
    """Worse only when both say so: the counts by themselves, and the runs among each other."""
    a, of_a = sum(o.count for o in before), sum(o.of for o in before)
    b, of_b = sum(o.count for o in now), sum(o.of for o in now)
    chance = of_b / (of_a + of_b)
    by_count = beta_cdf(chance, b, a + 1) if b else 1.0
    low, high = binomial_bounds(b, a + b, 1.0 - 2.0 * alpha) if a + b else (0.0, 1.0)
    seen = difference(
        [o.value for o in before],
        [o.value for o in now],
        found.design,
        [o.value for o in noise],
        least=0.0,
    )
    if seen.error > 0:
        by_run = 1.0 - t_cdf(seen.effect / seen.error, seen.df)
    else:
        by_run = 0.0 if seen.effect > 0 else 1.0
    return replace(
        found,
        low=_odds(low) * of_a / of_b,
        high=_odds(high) * of_a / of_b,
        p=max(by_count, by_run),
        flips=seen.flips,
    )


def _odds(share: float) -> float:
    return share / (1.0 - share) if share < 1.0 else math.inf


def _pooled(runs: Sequence[Observed]) -> float:
    return sum(o.count for o in runs) / max(1, sum(o.of for o in runs))


def decide(found: Mapping[str, Compared], rule: Rule) -> dict[str, Compared]:
    """The verdict on each, with Holm's correction over all that can be judged."""
    adjusted = holm({name: each.p for name, each in found.items() if each.p is not None})
    return {name: _decided(each, adjusted.get(name), rule) for name, each in found.items()}


def _decided(each: Compared, adjusted: float | None, rule: Rule) -> Compared:
    each = replace(each, adjusted=adjusted, allowed=rule.allowed(each.metric, each.before))
    if adjusted is None:
        return each
    if adjusted <= rule.alpha and each.too_bad:
        return replace(each, state=State.REGRESSION)
    if each.sees is None or each.high is None or each.sees <= each.allowed:
        return replace(each, state=State.FINE)
    if each.high <= 1.0 + each.allowed:
        return replace(each, state=State.FINE)
    return replace(each, state=State.INCONCLUSIVE, needs=_needs(each, rule))


def _needs(each: Compared, rule: Rule) -> int | None:
    if each.sd is None:
        return None
    return runs_for(math.log1p(each.allowed), math.log1p(each.sd), each.design, rule.alpha)
