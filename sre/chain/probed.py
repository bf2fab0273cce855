"""Is it known what every store that is used really does? (pure)"""

from __future__ import annotations

from collections.abc import Iterator

from sre.backup.doctor.known import Examined, place_of_store
from sre.chain.ages import LATE, span
from sre.chain.model import Finding, World

__all__ = ["RHYTHM", "probed", "used_stores"]

RHYTHM = 86400.0
"""A server that is upgraded, or a bucket that is changed, is seen within a day."""


def used_stores(world: World) -> tuple[str, ...]:
    """Those in which a database, or a tier's copy of it, is kept."""
    databases = world.settings.databases.values()
    names = {each.store_name for each in databases}
    names |= {copy for each in databases for copy in each.tier.copies}
    return tuple(name for name in world.settings.stores if name in names)


def probed(world: World, name: str, known: Examined | None, now: float) -> Iterator[Finding]:
    """What the last examination of a store said, and how long ago."""
    steps, again = ("stores", name), f"sre backup doctor {name}"
    if known is None or known.where != place_of_store(world.settings.stores[name]):
        message = f"nobody has tried what the store {name!r} really does"
        yield world.find("store-unexamined", steps, message, again)
        return
    if known.failed:
        message = f"no backup is safe in the store {name!r}: {', '.join(known.failed)}"
        yield world.find("store-unsafe", steps, message, f"mend it, then: {again}")
    elif known.degraded:
        message = f"the store {name!r} lacks: {', '.join(known.degraded)}"
        yield world.find("store-degraded", steps, message, f"{again} says what is switched off")
    if now - known.at > RHYTHM * LATE:
        message = f"the store {name!r} was last examined {span(now - known.at)} ago"
        yield world.find("store-examination-stale", steps, f"{message}, wanted is daily", again)
