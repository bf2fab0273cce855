"""How fast does an error budget burn, and which alerts would fire? (pure)

The arithmetic of the generated Prometheus rules in Python, for where there is no Prometheus; a test
holds both to the same answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from sre.slo.model import Objective
from sre.slo.windows import Pair, budget_of, pairs_of

__all__ = ["Burn", "Sample", "budget_left", "burn_rates", "error_ratio", "may_tell"]


@dataclass(frozen=True)
class Sample:
    """Events that ended at one moment: of `total`, `good` were good.

    Refused, throttled and blocked runs and failures of our own are no events: leave them out.
    """

    at: float
    good: int
    total: int


@dataclass(frozen=True)
class Burn:
    """How one pair of windows stands.

    Attributes:
        long, short: times the sustainable rate; None: there were no events in that window.
    """

    pair: Pair
    long: Fraction | None
    short: Fraction | None

    @property
    def fires(self) -> bool:
        """Whether both windows burn faster than the factor; no events never fire."""
        rates = (self.long, self.short)
        return all(rate is not None and rate > self.pair.factor for rate in rates)


def error_ratio(samples: Sequence[Sample], now: float, window: float) -> Fraction | None:
    """Bad events over all events of the `window` seconds up to `now`; None without events."""
    inside = [sample for sample in samples if now - window < sample.at <= now]
    total = sum(sample.total for sample in inside)
    good = sum(sample.good for sample in inside)
    return Fraction(total - good, total) if total else None


def burn_rates(
    samples: Sequence[Sample], now: float, objective: Objective, every: float = 60.0
) -> tuple[Burn, ...]:
    """How each alerting pair stands at `now`, fastest first; ask `fires`.

    Args:
        every: seconds between the runs that the samples come from; stretches short windows.
    """
    budget = budget_of(objective)

    def burnt(window: int) -> Fraction | None:
        ratio = error_ratio(samples, now, window)
        return None if ratio is None else ratio / budget

    return tuple(
        Burn(pair, burnt(pair.long), burnt(pair.short))
        for pair in pairs_of(objective, every)
        if pair.usable and may_tell(objective, pair)
    )


def may_tell(objective: Objective, pair: Pair) -> bool:
    """Whether a pair alerts: an objective that is worth a ticket never pages."""
    return pair.severity == "ticket" or objective.severity == "page"


def budget_left(samples: Sequence[Sample], now: float, objective: Objective) -> Fraction | None:
    """The share of the period's error budget that is left, below 0 when overspent."""
    ratio = error_ratio(samples, now, objective.window)
    return None if ratio is None else 1 - ratio / budget_of(objective)
