"""What does the last examination of a store forbid, and what should be said before it is used?

One small file of this machine is read, nothing is asked of the store. What was never tried is not
forbidden: a store that nobody examined works, and the word is to examine it.
"""

from __future__ import annotations

from sre.backup.doctor.known import (
    Examined,
    capabilities,
    examined_of,
    fact_name,
    lock_or_refuse,
    many_writers_or_refuse,
    place_of_store,
)
from sre.backup.model import Declared
from sre.core.clock import Clock
from sre.core.errors import Refused, SreError
from sre.core.facts import Facts
from sre.core.units import format_duration

__all__ = ["STALE_SECONDS", "heed"]

STALE_SECONDS = 7 * 86400.0
_WRITES_BACKUPS = ("run", "copy", "archive")
_DELETES = ("prune", "shred")
_ADVISES = ("run", "copy", "prune")
"""What most people schedule: once a day is enough to be told to examine a store."""


def heed(facts: Facts, declared: Declared, op: str, clock: Clock) -> tuple[str, ...]:
    """Hints for people; `op` is that of the lease.

    Raises:
        Refused: the store was seen not to keep what the operation or the tier relies on.
    """
    name = declared.store_name
    try:
        known = _examined(facts, declared)
    except SreError as error:
        return (f"{error}",)
    if known is None:
        if op not in _ADVISES:
            return ()
        return (
            f"the store {name!r} was never examined from here: what it does not keep is not known; "
            f"run: sre backup doctor {name}",
        )
    found = capabilities(facts, name, declared.store)
    if known.works.get("conditional_put") is False and not _alone(declared):
        many_writers_or_refuse(found, name)
    lock = declared.tier.lock
    if lock is not None and op in _WRITES_BACKUPS and known.works.get("object_lock") is False:
        lock_or_refuse(found, name, declared.tier_name, waived=bool(lock.waive.strip()))
    return tuple(_hints(known, declared, op, clock.wall()))


def _examined(facts: Facts, declared: Declared) -> Examined | None:
    """None also when another place bore the store's name."""
    fact = facts.read(fact_name(declared.store_name))
    if fact is None:
        return None
    capabilities(facts, declared.store_name, declared.store)  # raises when it is damaged
    known = examined_of(fact.value)
    return known if known.where == place_of_store(declared.store) else None


def _alone(declared: Declared) -> bool:
    return bool(getattr(declared.store, "single_writer", False))


def _hints(known: Examined, declared: Declared, op: str, now: float) -> list[str]:
    name, hints = declared.store_name, list[str]()
    if known.failed:
        what = (
            f"no backup is safe in the store {name!r}: {', '.join(known.failed)} failed when it "
            f"was examined; see: sre backup doctor {name}"
        )
        if op in _DELETES:
            raise Refused(f"{what}; nothing was deleted")
        hints.append(what)
    lock = declared.tier.lock
    if lock is not None and lock.waive.strip() and known.works.get("object_lock") is False:
        hints.append(
            f"the store {name!r} locks nothing, and the tier {declared.tier_name!r} waives it: "
            f"{lock.waive}"
        )
    age = now - known.at
    if age > STALE_SECONDS:
        hints.append(
            f"the store {name!r} was last examined {format_duration(age)} ago; run: "
            f"sre backup doctor {name}"
        )
    return hints
