"""Which keys of the log open nothing any more, and how do they go?

Each day of an archiver has a key of its own, which every database of a store may share. One goes
with all its later forms once no record of any piece of log names it; a record that cannot be read
may name any of them, so that all stay.
"""

from __future__ import annotations

import bisect
import dataclasses
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

from sre.backup.claim import parse_claim
from sre.backup.keyring.names import original, parse_key
from sre.backup.log.layout import item_of
from sre.backup.objects import ObjectInfo, Storage
from sre.backup.pruning.listed import listed_twice
from sre.backup.pruning.logs import Spent
from sre.backup.upkeep import Guarded
from sre.core.errors import IntegrityError, SreError

__all__ = ["YOUNG", "EpochPlan", "apply_epochs", "judge_epochs", "plan_epochs"]

YOUNG = 3 * 86400.0
"""A key is used for a day after it was made, and may be on its way to another store after that."""
_AT_ONCE = 8
_BATCH = 256


@dataclass(frozen=True)
class EpochPlan:
    """What becomes of the log's keys in one store.

    Attributes:
        spent: each with all of its forms.
        spared: of those kept, how many are too young to be judged.
        blocked: why none of them may go; empty when nothing speaks against it.
    """

    kept: int = 0
    spent: tuple[Spent, ...] = ()
    spared: int = 0
    blocked: str = ""
    deleted: int = 0
    locked: int = 0
    freed_bytes: int = 0


def plan_epochs(storage: Storage, now: float, gone: Collection[str] = ()) -> EpochPlan:
    """Judge the keys of a store. `gone`: records that will be deleted before.

    Nothing is raised for a store that does not answer: then nothing of it may go.
    """
    try:
        objects = listed_twice(storage, now)
        families = _families(objects)
        records = [each for each in objects if item_of(each.key) and each.key not in gone]
        old = {stem for stem, forms in families.items() if _age(forms, now) >= YOUNG}
        if not old:
            return EpochPlan(kept=len(families))
        if busy := _copying(storage, objects, now):
            return EpochPlan(kept=len(families), blocked=busy)
        needed = _needed(storage, _likely_first(records, families, old), old)
    except SreError as error:
        return EpochPlan(blocked=str(error))
    return judge_epochs(families, needed, now)


def judge_epochs(
    families: Mapping[str, Sequence[ObjectInfo]], needed: Collection[str], now: float
) -> EpochPlan:
    """Which keys stay and which go. (pure) `needed`: keys that a record names, by their stem."""
    old = [stem for stem in sorted(families) if _age(families[stem], now) >= YOUNG]
    spent = tuple(_spent(stem, families[stem]) for stem in old if stem not in needed)
    return EpochPlan(len(families) - len(spent), spent, len(families) - len(old))


def apply_epochs(storage: Storage, plan: EpochPlan) -> EpochPlan:
    """Delete; the caller holds the lease and guards the writes. Raises Fenced, Transient."""
    deleted = locked = freed = 0
    for each in plan.spent:
        try:
            for key in each.keys:
                storage.delete(key)
        except Guarded:
            locked += 1
            continue
        deleted, freed = deleted + 1, freed + each.bytes
    return dataclasses.replace(plan, deleted=deleted, locked=locked, freed_bytes=freed)


def _families(objects: Iterable[ObjectInfo]) -> dict[str, list[ObjectInfo]]:
    """All forms of each key of the log."""
    found: dict[str, list[ObjectInfo]] = {}
    for each in objects:
        named = parse_key(each.key)
        if named is not None and named.stem.startswith("log-"):
            found.setdefault(named.stem, []).append(each)
    return found


def _age(forms: Sequence[ObjectInfo], now: float) -> float:
    """Since the newest of its forms was written; what has no time is new."""
    return now - max(now if each.modified is None else each.modified for each in forms)


def _spent(stem: str, forms: Sequence[ObjectInfo]) -> Spent:
    # the first form last: as long as any is left, the next run finds the rest
    keys = sorted((each.key for each in forms), key=lambda key: (key == original(stem), key))
    size = sum(each.size for each in forms)
    return Spent(stem, tuple(keys), size, "no piece of log that is left needs it")


def _copying(storage: Storage, objects: Iterable[ObjectInfo], now: float) -> str:
    """Who brings log from another store now: its records come after their keys."""
    for each in objects:
        if each.key.startswith("v1/locks/") and each.key.endswith("/copy.json"):
            try:
                claim = parse_claim(storage.get(each.key), each.key)
            except KeyError:
                continue
            if claim.live(now):
                return f"spared: {claim}"
    return ""


def _likely_first(
    records: Sequence[ObjectInfo], families: Mapping[str, Sequence[ObjectInfo]], old: Iterable[str]
) -> Iterator[str]:
    """All records, those before the others that were stored next after a key."""
    by_time = sorted(records, key=lambda each: each.modified or 0.0)
    times = [each.modified or 0.0 for each in by_time]
    first = list[str]()
    for stem in sorted(old):
        made = min(each.modified or 0.0 for each in families[stem])
        at = bisect.bisect_left(times, made)
        first += [each.key for each in by_time[at : at + 2]]
    yield from dict.fromkeys([*first, *(each.key for each in by_time)])


def _needed(storage: Storage, records: Iterable[str], asked: Collection[str]) -> set[str]:
    """Which of these keys a record names. Raises IntegrityError when one cannot be read."""
    found, left = set[str](), set(asked)
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="records") as pool:
        coming = iter(records)
        while not left <= found and (keys := list(islice(coming, _BATCH))):
            found.update(pool.map(lambda key: _stem_in(storage, key), keys))
    return found


def _stem_in(storage: Storage, key: str) -> str:
    """The key that a record names, believed or not; empty when it is gone by now."""
    try:
        named = json.loads(storage.get(key))["key"]
        return str(named).removeprefix("v1/keys/").removesuffix(".age")
    except KeyError as error:
        if storage.head(key) is None:
            return ""
        raise IntegrityError(f"{key} is no record of a piece of log") from error
    except (ValueError, TypeError) as error:
        raise IntegrityError(f"{key} is no record of a piece of log") from error
