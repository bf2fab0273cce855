"""Which limits of a declaration does a measurement cross, and what is the verdict?

A kind's limits are a frozen dataclass of optional fields (`clients: Share | None`). The type of a
field says how its numbers are written for people; a field named `min_...` is a least value.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from sre.core.units import Duration, Share, Size, format_duration
from sre.journey.result import Outcome, Reason

__all__ = ["Of", "contradictions", "crossed", "shown", "unknown", "verdict"]

Verdict = tuple[Outcome, Reason, str]


class Of(float):
    """A measurement of one thing among several, which a message can name."""

    def __new__(cls, value: float, where: str) -> Of:
        made = super().__new__(cls, value)
        made.where = where
        return made

    where: str


def crossed(limits: Any, measured: Mapping[str, float | None]) -> list[str]:
    """What is beyond its limit, for people."""
    found = []
    for name, limit in _declared(limits):
        value = measured.get(name)
        if value is None:
            continue
        least = name.startswith("min_")
        if value < limit if least else value > limit:
            where = f" of {value.where}" if isinstance(value, Of) else ""
            what = name.removeprefix("min_").replace("_", " ")
            bound = "at least" if least else "limit"
            found.append(f"{what}{where} {shown(value, limit)} ({bound} {shown(limit, limit)})")
    return found


def unknown(limits: Any, measured: Mapping[str, float | None]) -> list[str]:
    """Names of limits about something that was not measured; None says it does not apply."""
    return [name for name, _ in _declared(limits) if name not in measured]


def contradictions(warn: Any, highest: Any) -> list[str]:
    """Names of limits that `highest` crosses before `warn` does: its warning would never be seen.

    Least values are those named `min_...` and those that the class lists in `least`; what is no
    number (limits by route, say) is not compared.
    """
    least = getattr(type(warn), "least", ())
    fails, found = dict(_declared(highest)), []
    for name, soft in _declared(warn):
        hard = fails.get(name)
        if isinstance(soft, int | float) and isinstance(hard, int | float):
            lower = name.startswith("min_") or name in least
            if hard > soft if lower else hard < soft:
                found.append(name)
    return found


def verdict(
    highest: Any,
    warn: Any,
    measured: Mapping[str, float | None],
    *,
    bad: Iterable[str] = (),
    poor: Iterable[str] = (),
) -> Verdict:
    """Failed for `bad` and for what crosses `highest`; degraded for `poor` and `warn` (pure).

    A limit that cannot be judged degrades as well: silence about it would look like health.
    """
    failed = [*bad, *crossed(highest, measured)]
    if failed:
        return Outcome.FAILED, Reason.STATUS, "; ".join(failed)
    blind = dict.fromkeys(unknown(highest, measured) + unknown(warn, measured))
    told = [*poor, *crossed(warn, measured)]
    told += [f"the limit {name!r} cannot be judged: not measured" for name in blind]
    if told:
        return Outcome.DEGRADED, Reason.STATUS, "; ".join(told)
    return Outcome.OK, Reason.NONE, ""


def _declared(limits: Any) -> list[tuple[str, float]]:
    pairs = [(field.name, getattr(limits, field.name)) for field in fields(limits)]
    return [(name, value) for name, value in pairs if value is not None]


def shown(value: float, like: float) -> str:
    """A number in the unit of its limit: `93.0%`, `2 m 05 s`, `1.5 GiB`, `12`."""
    if math.isinf(value):
        return "without end"
    if isinstance(like, Share):
        return f"{value:.1%}"
    if isinstance(like, Duration):
        return format_duration(value)
    if isinstance(like, Size):
        return _size(value)
    return f"{value:.15g}"


def _size(count: float) -> str:
    for unit, size in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} B"
