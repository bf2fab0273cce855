"""Which objects belong to no backup, and may they go?

Not while they could be a backup in the making: everything is spared that is younger than twice the
longest backup (at least a day), and all of it while somebody runs a backup of that database.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from sre.backup.layout import ID, MANIFEST, database_of
from sre.backup.objects import ObjectInfo
from sre.backup.retention.records import Orphan, Reason
from sre.backup.upkeep import Pending
from sre.core.units import format_duration

__all__ = ["LEAST_AGE", "Around", "backup_of", "find_orphans", "least_age"]

LEAST_AGE = 86400.0
_IN_BACKUP = re.compile(r"v1/(?P<db>[^/]+)/\d+-\d+/backups/(?P<id>[^/]+)/[^/]+")
_KEY = re.compile(r"v1/keys/(?P<id>[^/]+)\.age")


@dataclass(frozen=True)
class Around:
    """What decides whether an orphan is too young.

    Attributes:
        busy: who runs at this database now, in words; empty when nobody does.
        rests: backups whose interrupted deletion is finished elsewhere.
    """

    db: str
    now: float
    least: float = LEAST_AGE
    busy: str = ""
    rests: frozenset[str] = frozenset()


def least_age(seconds: Iterable[float]) -> float:
    """How old an orphan must be, given how long the backups there took."""
    return max(LEAST_AGE, 2 * max(seconds, default=0.0))


def backup_of(key: str) -> tuple[str, str] | None:
    """(database, id) of the backup whose folder an object is in."""
    match = _IN_BACKUP.fullmatch(key)
    return (match["db"], match["id"]) if match and ID.fullmatch(match["id"]) else None


def find_orphans(
    objects: Sequence[ObjectInfo], pending: Sequence[Pending], around: Around
) -> Iterator[Orphan]:
    """Those of one database; `objects` is everything in the store."""
    keys = {match["id"]: each for each in objects if (match := _KEY.fullmatch(each.key))}
    for id_, found in _without_manifest(objects, around).items():
        # its key first: as long as anything is left, the next run finds all of it
        whole = [*([keys[id_]] if id_ in keys else []), *found]
        yield _orphan("backup", id_, whole, around)
    for upload in pending:
        if upload.key.startswith(database_of(around.db)):
            info = ObjectInfo(upload.key, upload.size, upload.began)
            yield _orphan("upload", upload.key, [info], around, upload.id)


def _without_manifest(objects: Sequence[ObjectInfo], around: Around) -> dict[str, list[ObjectInfo]]:
    folders: dict[str, list[ObjectInfo]] = {}
    spared = set(around.rests)
    for each in objects:
        place = backup_of(each.key)
        if place is not None and place[0] == around.db:
            folders.setdefault(place[1], []).append(each)
            if each.key.endswith(f"/{MANIFEST}"):
                spared.add(place[1])
    return {id_: found for id_, found in folders.items() if id_ not in spared}


def _orphan(
    what: Literal["backup", "upload"],
    name: str,
    found: Sequence[ObjectInfo],
    around: Around,
    upload: str = "",
) -> Orphan:
    newest = max(around.now if each.modified is None else each.modified for each in found)
    age = around.now - newest
    if around.busy:
        delete, reason = False, Reason("busy", around.busy)
    elif age < around.least:
        least = format_duration(around.least)
        text = f"{format_duration(max(0.0, age))} old, younger than {least}"
        delete, reason = False, Reason("young", text)
    else:
        why = "it has no manifest" if what == "backup" else "it never ended"
        text = f"{why}, {format_duration(age)} old"
        delete, reason = True, Reason("orphan", text)
    return Orphan(
        what=what,
        name=name,
        keys=tuple(each.key for each in found),
        bytes=sum(each.size for each in found),
        newest=newest,
        delete=delete,
        reason=reason,
        upload=upload,
    )
