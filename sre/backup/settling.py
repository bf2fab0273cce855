"""What follows from a verification for whoever chooses a backup: is it quarantined, or free again?

Only damage of what is stored counts: a key that this host does not have, or a manifest that this
host does not believe, says nothing about the backup.
"""

from __future__ import annotations

from collections.abc import Iterable

from sre.backup.catalogue import Catalogue
from sre.backup.condition import condition_of, lift, quarantine
from sre.backup.keyring.names import parse_key
from sre.backup.keys import is_believed
from sre.backup.layout import MANIFEST, Place
from sre.backup.model import Keys
from sre.backup.records import Fault, Verification
from sre.backup.retention.orphans import backup_of
from sre.core.errors import IntegrityError, SreError

__all__ = ["is_about_it", "settle"]


def settle(catalogue: Catalogue, keys: Keys, place: Place, found: Verification) -> tuple[str, ...]:
    """Quarantine what was found damaged, or free what has passed; notes on what was done.

    Never raises: the verification has its result, whatever becomes of the mark.
    """
    try:
        if not is_believed(keys):
            return ()  # nobody would believe the mark that replaces one
        if found.passed:
            return _free(catalogue, keys, place, found)
        return _lay(catalogue, keys, place, found)
    except SreError as error:
        return (f"the mark of the quarantine could not be written: {error}",)


def is_about_it(found: Verification) -> bool:
    """Whether a verification says something about the backup, not only about this host. (pure)"""
    return found.passed or bool(found.failures) or any(not _of_host(each) for each in found.faults)


def _of_host(fault: Fault) -> bool:
    """A key that is not here, or a manifest that this host does not believe."""
    return fault.host or fault.object.rpartition("/")[2].startswith(MANIFEST)


def _free(catalogue: Catalogue, keys: Keys, place: Place, found: Verification) -> tuple[str, ...]:
    notes: list[str] = []
    for id_ in _chain(catalogue, place):
        link = Place(place.db, place.system, id_)
        if lift(catalogue.storage, keys, link, at=found.at, level=found.level):
            notes.append(f"{id_} is no longer quarantined")
    return tuple(notes)


def _chain(catalogue: Catalogue, place: Place) -> list[str]:
    ids: list[str] = []
    at: str | None = place.id
    while at is not None and at not in ids:
        ids.append(at)
        try:
            at = catalogue.known(Place(place.db, place.system, at)).parent
        except IntegrityError:
            break
    return ids


def _lay(catalogue: Catalogue, keys: Keys, place: Place, found: Verification) -> tuple[str, ...]:
    notes: list[str] = []
    for id_, faults in _damage(found.faults).items():
        link = Place(place.db, place.system, id_)
        if condition_of(catalogue.storage, keys.trusted, link, "shredded") is not None:
            continue
        if quarantine(catalogue.storage, keys, link, faults, at=found.at, level=found.level):
            notes.append(
                f"{id_} is quarantined: nothing is restored from it or builds on it until it "
                "passes a verification as deep"
            )
    return tuple(notes)


def _damage(faults: Iterable[Fault]) -> dict[str, list[Fault]]:
    """Damaged objects by the backup that they belong to."""
    found: dict[str, list[Fault]] = {}
    for fault in faults:
        if _of_host(fault):
            continue
        place, key = backup_of(fault.object), parse_key(fault.object)
        if place is not None:
            found.setdefault(place[1], []).append(fault)
        elif key is not None:
            found.setdefault(key.stem, []).append(fault)
    return found
