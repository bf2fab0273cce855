"""Over which two windows, and how fast, must an error budget burn before somebody is told?

The multi-window, multi-burn-rate table of the SRE workbook: a pair alerts when a share of the
budget of the whole period is spent within its long window, and its short window says that it goes
on. All numbers are exact fractions; they become decimals only as text.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from sre.slo.model import Objective

__all__ = [
    "Pair",
    "base_window",
    "budget_of",
    "enough",
    "number",
    "pairs_of",
    "span",
    "windows_of",
    "words",
]

_MINUTE, _HOUR, _DAY = 60, 3600, 86400

_TABLE: tuple[tuple[Literal["page", "ticket"], Fraction, int, int], ...] = (
    ("page", Fraction(2, 100), _HOUR, 5 * _MINUTE),
    ("page", Fraction(5, 100), 6 * _HOUR, 30 * _MINUTE),
    ("ticket", Fraction(10, 100), _DAY, 2 * _HOUR),
    ("ticket", Fraction(10, 100), 3 * _DAY, 6 * _HOUR),
)
"""Severity, share of the period's budget, long window, short window."""

_SLOWEST = Fraction(9, 10)
"""A burn below this is no news: the budget lasts beyond the period. 28d over 3d is 0.9333."""

_RUNS = Fraction(5, 2)
"""Intervals that a window must span, so that it always holds two runs."""

_DIVISOR = 12
"""Long window over short window."""


@dataclass(frozen=True)
class Pair:
    """Two windows that must both burn faster than `factor`.

    Attributes:
        long, short: seconds.
        factor: times the rate at which the budget would just last for the period.
        wanted: what `short` would be if the probe ran often enough.
    """

    severity: Literal["page", "ticket"]
    long: int
    short: int
    factor: Fraction
    wanted: int

    @property
    def usable(self) -> bool:
        """Whether the probe runs often enough for it: otherwise its windows hold no two runs."""
        return self.short <= self.long

    def can_fire(self, budget: Fraction) -> bool:
        """Whether total failure exceeds it; a large budget may not burn that fast."""
        return self.factor * budget < 1


def budget_of(objective: Objective) -> Fraction:
    """The share of events that may be bad, as it was written: 99.9% leaves exactly 1/1000."""
    return 1 - Fraction(Decimal(repr(round(float(objective.target), 10))))


def pairs_of(objective: Objective, every: float) -> tuple[Pair, ...]:
    """The pairs of an objective whose probes run each `every` seconds, fastest first.

    A factor is the share of the budget times the period over the long window. Where a short period
    would make it slower than sustainable, the long window shrinks instead.
    """
    found: list[Pair] = []
    for severity, share, usual_long, usual_short in _TABLE:
        long, short = usual_long, usual_short
        spent = share * int(objective.window)
        if spent / long < _SLOWEST:
            long = _rounded_down(int(spent))
            short = max(1, long // _DIVISOR)
        if not found or long > found[-1].long:
            fits = max(short, enough(every))
            found.append(Pair(severity, long, fits, spent / long, short))
    return tuple(found)


def base_window(pairs: Iterable[Pair]) -> int:
    """The shortest window: what "now" means for an objective."""
    return min(pair.short for pair in pairs)


def windows_of(objective: Objective, every: float) -> tuple[int, ...]:
    """All windows that are recorded, shortest first; the period is the last."""
    pairs = pairs_of(objective, every)
    used = {w for pair in pairs if pair.usable for w in (pair.short, pair.long)}
    period = int(objective.window)
    return (*sorted({w for w in used | {base_window(pairs)} if w < period}), period)


def number(value: Fraction) -> str:
    """An exact decimal; one that never ends is cut to four places (14/15 is 0.9333)."""
    places = next((n for n in range(13) if (value * 10**n).denominator == 1), 4)
    text = format(Decimal(round(value * 10**places)).scaleb(-places), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def span(seconds: int) -> str:
    """A duration as Prometheus reads it, in one unit: `5m`, `90m`, `3d`."""
    for unit, size in (("d", _DAY), ("h", _HOUR), ("m", _MINUTE)):
        if seconds % size == 0 and seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def words(seconds: float) -> str:
    """A duration for a sentence: `5 minutes`, `50 hours`, `30 days`."""
    for unit, size, least in (("day", _DAY, 3), ("hour", _HOUR, 1), ("minute", _MINUTE, 1)):
        if seconds >= least * size:
            count = round(seconds / size)
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{seconds:g} seconds"


def enough(every: float) -> int:
    """The smallest good-looking window that spans two and a half intervals."""
    return _rounded_up(_RUNS * Fraction(repr(float(every))))


def _step(seconds: Fraction | int) -> int:
    for limit, step in ((_MINUTE, 1), (10 * _MINUTE, _MINUTE), (_HOUR, 5 * _MINUTE)):
        if seconds <= limit:
            return step
    return 30 * _MINUTE if seconds <= 6 * _HOUR else _HOUR


def _rounded_up(seconds: Fraction) -> int:
    step = _step(seconds)
    return -int(-seconds // step) * step


def _rounded_down(seconds: int) -> int:
    step = _step(seconds)
    return max(1, seconds // step * step)
