"""What has the shop given up for now, on purpose? (pure)"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

from sre.core.facts import Fact
from sre.page.model import Limit

__all__ = ["limits_of"]

_FACT = "degrade/active"
_MOST = 20


def limits_of(facts: Iterable[Fact]) -> Iterator[Limit]:
    """The levels of the fact `degrade/active`, in the order in which they came."""
    for fact in facts:
        levels = fact.value.get("levels")
        if fact.name != _FACT or not isinstance(levels, list):
            continue
        for each in levels[:_MOST]:
            if isinstance(each, Mapping):
                yield _limit(each)


def _limit(level: Mapping[str, object]) -> Limit:
    name = " ".join(str(level.get("name") or "unnamed").split())[:64]
    says = " ".join(str(level.get("shows") or "").split())[:200]
    since = level.get("since")
    good = isinstance(since, int | float) and not isinstance(since, bool) and _is_moment(since)
    return Limit(name, says or f"Degraded: {name}", float(since) if good else None)  # type: ignore[arg-type]


def _is_moment(seconds: float) -> bool:
    return math.isfinite(seconds) and 0 <= seconds < 2**36
