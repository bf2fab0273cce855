"""Which log is needed by no backup that is kept, and how does it go?

Positions only grow, on every timeline: a backup needs nothing that lies before its own start. So
what lies before the start of every kept backup of that server goes; so does the beginning of a
segment that is there whole, and what no record names. A record goes before its object.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from sre.backup.job import Job
from sre.backup.log.layout import Item, item_of
from sre.backup.log.lsn import format_lsn, number_at, number_of
from sre.backup.log.reading import LogReader
from sre.backup.log.survey import base_of
from sre.backup.manifest import Manifest
from sre.backup.objects import ObjectInfo, Storage
from sre.backup.pruning.survey import Survey
from sre.backup.retention.orphans import LEAST_AGE
from sre.backup.upkeep import Guarded
from sre.core.errors import IntegrityError

__all__ = ["LogPlan", "Spent", "apply_logs", "plan_logs"]

_YOUNG = 3600.0
"""Somebody who listed the log an hour ago may still read it."""


@dataclass(frozen=True)
class Spent:
    """One piece of log that nobody needs: its objects in the order in which they go, and why."""

    name: str
    keys: tuple[str, ...]
    bytes: int
    reason: str


@dataclass(frozen=True)
class LogPlan:
    """What becomes of the log of one server.

    Attributes:
        blocked: why nothing of it may go; empty when nothing speaks against it.
        spared: pieces that are not needed, but too young.
    """

    place: str
    kept: int = 0
    spent: tuple[Spent, ...] = ()
    spared: int = 0
    blocked: str = ""
    deleted: int = 0
    locked: int = 0
    freed_bytes: int = 0


@dataclass
class _Stored:
    """The objects of one server's log: record and bytes of each piece."""

    records: dict[str, ObjectInfo] = field(default_factory=dict)
    objects: dict[str, list[ObjectInfo]] = field(default_factory=dict)


def plan_logs(job: Job, found: Survey, gone: Collection[str]) -> list[LogPlan]:
    """For each server whose log is there. `gone`: backups that are, or will be, deleted.

    Raises Transient; Damaged when a record that is needed to decide is not genuine.
    """
    storage, db = found.catalogue.storage, found.declared.name
    places: dict[str, list[ObjectInfo]] = {}
    for each in storage.list(f"v1/{db}/"):
        parts = each.key.split("/")
        if len(parts) == 6 and parts[3] == "log":
            places.setdefault(parts[2], []).append(each)
    manifests = [each for id_, each in found.manifests.items() if id_ not in gone]
    return [
        _plan(job, found, storage, place, infos, [m for m in manifests if m.place == place])
        for place, infos in sorted(places.items())
    ]


def _plan(
    job: Job,
    found: Survey,
    storage: Storage,
    place: str,
    infos: Sequence[ObjectInfo],
    kept: Sequence[Manifest],
) -> LogPlan:
    reader = LogReader(storage, job.backups.keys, f"v1/{found.declared.name}/{place}/")
    stored, now = _sorted(infos), found.situation.now
    starts = [base.start for each in kept if (base := base_of(each)) is not None]
    if found.faults:
        why = f"a backup cannot be read ({found.faults[0].object}), so what it needs is not known"
        return LogPlan(place, kept=len(stored.records), blocked=why)
    if not starts:
        why = "no backup of this server is kept that the log continues"
        return LogPlan(place, kept=len(stored.records), blocked=why)
    try:
        size = reader.size if stored.records else 2**24
        candidates = list(_spent(reader, stored, min(starts), size, now))
    except IntegrityError as error:
        return LogPlan(place, kept=len(stored.records), blocked=str(error))
    spent = tuple(spent for spent, young in candidates if not young)
    names = {each.name for each in spent}
    left = sum(name not in names for name in stored.records)
    return LogPlan(place, left, spent, sum(young for _, young in candidates))


def apply_logs(storage: Storage, plans: Iterable[LogPlan]) -> list[LogPlan]:
    """Delete; the caller holds the lease and guards the writes. Raises Fenced, Transient."""
    return [_applied(storage, each) for each in plans]


def _applied(storage: Storage, plan: LogPlan) -> LogPlan:
    deleted = locked = freed = 0
    for each in plan.spent:
        try:
            for key in each.keys:
                storage.delete(key)
        except Guarded:
            locked += 1
            continue
        deleted, freed = deleted + 1, freed + each.bytes
    return LogPlan(
        plan.place, plan.kept, plan.spent, plan.spared, plan.blocked, deleted, locked, freed
    )


def _sorted(infos: Iterable[ObjectInfo]) -> _Stored:
    stored = _Stored()
    for info in infos:
        item = item_of(info.key)
        if item is not None:
            stored.records[item.name] = info
        elif info.key.endswith(".zst.age"):
            name = _piece_of(info.key)
            stored.objects.setdefault(name, []).append(info)
    return stored


def _piece_of(key: str) -> str:
    """The piece that an object belongs to; a second try has eight more digits behind a dash."""
    name = key.rpartition("/")[2].removesuffix(".zst.age")
    if len(name.rpartition("-")[2]) == 8 and not name.rpartition("-")[0].endswith(".partial"):
        return name.rpartition("-")[0] or name
    return name


def _spent(
    reader: LogReader, stored: _Stored, oldest: int, size: int, now: float
) -> Iterator[tuple[Spent, bool]]:
    """(what is not needed, whether it is too young to go)."""
    items = [item for info in stored.records.values() if (item := item_of(info.key)) is not None]
    longest = _longest(items)
    for item in sorted(items):
        why = _why(item, longest, stored, oldest, size)
        if why:
            found = [stored.records[item.name], *stored.objects.get(item.name, [])]
            yield _one(item.name, found, why, now, _YOUNG)
    for name, infos in sorted(stored.objects.items()):
        if name not in stored.records:
            yield _one(name, infos, "no record names it", now, LEAST_AGE)
        elif len(infos) > 1:
            named = reader.record(name).object
            for info in infos:
                if info.key != named:
                    yield _one(info.key, [info], "another try was recorded", now, LEAST_AGE)


def _one(
    name: str, infos: Sequence[ObjectInfo], why: str, now: float, least: float
) -> tuple[Spent, bool]:
    newest = max(now if each.modified is None else each.modified for each in infos)
    spent = Spent(name, tuple(e.key for e in infos), sum(e.size for e in infos), why)
    return spent, now - newest < least


def _longest(items: Iterable[Item]) -> dict[str, int]:
    found: dict[str, int] = {}
    for item in items:
        if item.kind == "partial":
            found[item.segment] = max(found.get(item.segment, 0), item.bytes)
    return found


def _why(item: Item, longest: dict[str, int], stored: _Stored, oldest: int, size: int) -> str:
    """Why nobody needs a piece; empty when somebody may."""
    if item.kind == "history":
        return ""
    if number_of(item.segment, size) < number_at(oldest, size):
        return f"older than {format_lsn(oldest)}, where the oldest kept backup begins"
    if item.kind == "partial" and item.segment in stored.records:
        return "its segment is stored whole"
    if item.kind == "partial" and item.bytes < longest[item.segment]:
        return "a longer beginning of its segment is stored"
    return ""
