"""Which level comes next, or is the search over? (pure)

A search is a list of levels with what each showed; `next_step` reads it and says what to do. Up by
a factor until a level breaks (or down until one holds), then halving the gap, then holding what was
found once more for longer. If that breaks: a step down, and hold that; three times at most.

A level that could not be measured, because the generator was in doubt, is run once more; if it
still cannot be measured, the generator is the limit and not the shop, and the search says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sre.loadtest.capacity.model import Capacity

__all__ = [
    "CONFIRMATIONS",
    "RETRIES",
    "End",
    "Ending",
    "Level",
    "Showed",
    "Tried",
    "bounds",
    "next_step",
]

CONFIRMATIONS = 3
RETRIES = 3
"""Levels in a whole search that are run again because they could not be measured; each once."""
_CLOSE = 0.001
"""Levels are rounded to four digits; what differs by less than this is the same."""


class Showed(StrEnum):
    """What a level showed."""

    HELD = "held"
    BROKE = "broke"
    UNMEASURED = "unmeasured"


class Ending(StrEnum):
    """How a search ended."""

    FOUND = "found"
    NOTHING_HOLDS = "nothing_holds"
    LIMIT = "limit"
    GENERATOR = "generator"
    UNCONFIRMED = "unconfirmed"
    STUCK = "stuck"
    ABORTED = "aborted"


@dataclass(frozen=True)
class Level:
    """A level to try: a share of the mix, measured for longer when it is to be confirmed."""

    share: float
    confirming: bool = False


@dataclass(frozen=True)
class Tried:
    """A level that was tried, and what it showed."""

    level: Level
    showed: Showed


@dataclass(frozen=True)
class End:
    """The search is over.

    Attributes:
        held: the highest level that held and is not contradicted; None if none did.
        broke: the lowest level that broke; None if none did.
    """

    ending: Ending
    held: float | None
    broke: float | None


def next_step(tried: Sequence[Tried], rules: Capacity) -> Level | End:
    """What to do after the levels tried so far."""
    held, broke = bounds(tried)
    if tried and tried[-1].showed is Showed.UNMEASURED:
        if _may_retry(tried):
            return tried[-1].level
        return End(Ending.GENERATOR, held, broke)
    if broke is None:
        return _up(held, rules)
    failed = sum(t.level.confirming and t.showed is Showed.BROKE for t in tried)
    if failed >= CONFIRMATIONS:
        return End(Ending.UNCONFIRMED, held, broke)
    if failed and not _confirmed(tried, held):
        return _step_down(broke, held, rules)
    return _down(broke, rules) if held is None else _between(tried, held, broke, rules)


def _between(tried: Sequence[Tried], held: float, broke: float, rules: Capacity) -> Level | End:
    if broke / held - 1 > rules.precision + _CLOSE:
        return Level(_round(math.sqrt(held * broke)))
    if not _confirmed(tried, held):
        return Level(held, confirming=True)
    return End(Ending.FOUND, held, broke)


def bounds(tried: Sequence[Tried]) -> tuple[float | None, float | None]:
    """The highest level that held below everything that broke, and the lowest that broke."""
    broke = min((t.level.share for t in tried if t.showed is Showed.BROKE), default=None)
    held = [
        t.level.share
        for t in tried
        if t.showed is Showed.HELD and (broke is None or t.level.share < broke)
    ]
    return max(held, default=None), broke


def _may_retry(tried: Sequence[Tried]) -> bool:
    again = tried[-1].level == tried[-2].level if len(tried) > 1 else False
    unmeasured_twice = again and tried[-2].showed is Showed.UNMEASURED
    return not unmeasured_twice and sum(t.showed is Showed.UNMEASURED for t in tried) <= RETRIES


def _up(held: float | None, rules: Capacity) -> Level | End:
    if held is None:
        return Level(_round(rules.from_))
    if held >= rules.top:
        return End(Ending.LIMIT, held, None)
    return Level(min(_round(held * rules.factor), rules.top))


def _down(broke: float, rules: Capacity) -> Level | End:
    if broke <= rules.lowest:
        return End(Ending.NOTHING_HOLDS, None, broke)
    return Level(max(_round(broke / rules.factor), float(rules.lowest)))


def _step_down(broke: float, held: float | None, rules: Capacity) -> Level | End:
    """A level that had held did not hold for longer: the truth is close below it."""
    if broke <= rules.lowest:
        return End(Ending.NOTHING_HOLDS, None, broke)
    below = max(_round(broke / (1 + rules.precision)), float(rules.lowest), held or 0.0)
    return Level(below, confirming=True)


def _confirmed(tried: Sequence[Tried], held: float | None) -> bool:
    return any(
        t.level.confirming and t.showed is Showed.HELD and t.level.share == held for t in tried
    )


def _round(share: float) -> float:
    """Four digits are plenty, and read well in names of folders."""
    return float(f"{share:.4g}")
