"""Which backups are there but must not be relied on: damaged, or shredded?

    v1/marks/<id>/quarantine.json   a verification found damage; a later one may lift it
    v1/marks/<id>/shredded.json     its keys were destroyed on purpose; nothing brings it back

Both are signed records (`signed`): whoever may only write to the bucket cannot talk us out of a
good backup. The quarantine is one object that is replaced in one step, so that neither laying it
nor lifting it needs the right to delete.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sre.backup.layout import Place, stamp
from sre.backup.model import Keys
from sre.backup.objects import Changed, Storage
from sre.backup.records import Fault
from sre.backup.signed import enclose, opened
from sre.backup.twice import read_until_good
from sre.core.errors import IntegrityError

__all__ = ["Condition", "condition_of", "conditions", "lift", "quarantine", "shredded_mark"]

QUARANTINE = "sre.quarantine/1"
SHREDDED = "sre.shredded/1"
_MARKS = "v1/marks/"
_MARK = re.compile(r"v1/marks/(?P<id>[^/]+)/(?P<name>quarantine|shredded)\.json")
_NAMED = 20


@dataclass(frozen=True)
class Condition:
    """Why a backup must not be relied on.

    Attributes:
        kind: `quarantined` or `shredded`.
        at: Unix seconds.
        level: of the verification that found the damage.
    """

    kind: str
    at: float
    why: str
    level: int = 1
    keys: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        return f"{self.kind} on {stamp(self.at)}: {self.why}"


def conditions(storage: Storage, trusted: Sequence[str]) -> dict[str, Condition]:
    """Of every backup of a store that has one; a shredded one is never only quarantined."""
    found: dict[str, Condition] = {}
    for each in storage.list(_MARKS):
        match = _MARK.fullmatch(each.key)
        if match is None or (match["id"] in found and found[match["id"]].kind == "shredded"):
            continue
        condition = _read(storage, each.key, match["id"], match["name"], trusted)
        if condition is not None:
            found[match["id"]] = condition
    return found


def condition_of(
    storage: Storage, trusted: Sequence[str], place: Place, only: str = ""
) -> Condition | None:
    """Of one backup; None when nothing speaks against it. `only` asks for one of the two marks."""
    for name in (only,) if only else ("shredded", "quarantine"):
        found = _read(storage, place.mark(name), place.id, name, trusted)
        if found is not None:
            return found
    return None


def _read(
    storage: Storage, key: str, backup: str, name: str, trusted: Sequence[str]
) -> Condition | None:
    schema = QUARANTINE if name == "quarantine" else SHREDDED
    try:
        record = read_until_good(
            lambda: opened(storage.get(key), trusted, schema), lambda found: found is not None
        )
    except KeyError:
        return None
    if record is None or record.get("id") != backup or record.get("lifted") is not None:
        return None
    return _condition(record, name)


def _condition(record: Mapping[str, Any], name: str) -> Condition | None:
    try:
        at = float(record["at"])
        if name == "shredded":
            keys = tuple(str(each) for each in record["keys"])
            return Condition("shredded", at, str(record["reason"]), keys=keys)
        problems = [f"{each['object']}: {each['problem']}" for each in record["problems"]]
        return Condition("quarantined", at, "; ".join(problems[:1]), int(record["level"]))
    except (KeyError, TypeError, ValueError):
        return None


def quarantine(
    storage: Storage, keys: Keys, place: Place, faults: Iterable[Fault], *, at: float, level: int
) -> bool:
    """Mark a backup whose stored bytes were found damaged; False where nobody can sign it."""
    problems = [{"object": each.object, "problem": each.problem} for each in faults]
    record = {
        "schema": QUARANTINE, "id": place.id, "db": place.db, "at": at, "level": level,
        "problems": problems[:_NAMED], "lifted": None,
    }  # fmt: skip
    return _replace(storage, keys, place, record)


def lift(storage: Storage, keys: Keys, place: Place, *, at: float, level: int) -> bool:
    """Take a quarantine back after a verification at least as deep has passed; whether it did."""
    held = _read(storage, place.mark("quarantine"), place.id, "quarantine", keys.trusted)
    if held is None or level < held.level:
        return False
    record = {
        "schema": QUARANTINE, "id": place.id, "db": place.db, "at": held.at, "level": held.level,
        "problems": [], "lifted": at,
    }  # fmt: skip
    return _replace(storage, keys, place, record)


def _replace(storage: Storage, keys: Keys, place: Place, record: dict[str, Any]) -> bool:
    if keys.signing is None:
        return False
    data, key = enclose(record, keys.signing), place.mark("quarantine")
    try:
        storage.swap(key, data, storage.cell(key).version)
    except Changed:  # another verification says the same, or a newer word
        return _read(storage, key, place.id, "quarantine", keys.trusted) is not None
    return True


def shredded_mark(
    storage: Storage, keys: Keys, place: Place, *, at: float, reason: str, objects: Iterable[str]
) -> None:
    """The tombstone, written before the first key goes.

    Raises:
        UsageError: nobody can sign here.
        IntegrityError: something else stands there, which no trusted key signed.
    """
    record = {
        "schema": SHREDDED, "id": place.id, "db": place.db, "at": at, "reason": reason,
        "keys": sorted(objects),
    }  # fmt: skip
    data, key = enclose(record, keys.signing), place.mark("shredded")
    cell = storage.cell(key)
    if cell.data is not None and opened(cell.data, keys.trusted, SHREDDED) is not None:
        return  # an earlier try began it
    try:
        storage.swap(key, data, cell.version)
    except Changed as error:
        raise IntegrityError(f"{key} was written by somebody else meanwhile; run again") from error
