"""Which backups are there, and are they whose they claim to be?

The store is the truth: a backup exists when its manifest does, and counts when a trusted key signed
it. Manifests that were read once are kept in a local index, which may be removed at any time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sre.backup.keys import signed_by_trusted
from sre.backup.layout import Place, database_of, place_of
from sre.backup.manifest import Manifest, parse_manifest
from sre.backup.objects import Storage
from sre.backup.records import Fault
from sre.core.errors import IntegrityError, UsageError
from sre.core.files import replace_file

__all__ = ["Catalogue", "Damaged", "index_folder"]


class Damaged(IntegrityError):
    """Something of a backup is not what it should be; `fault` names the object."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        super().__init__(f"{fault.object}: {fault.problem}")


@dataclass(frozen=True)
class Catalogue:
    """The backups of one store, as the holders of `trusted` keys made them."""

    storage: Storage
    trusted: tuple[str, ...]
    index: Path | None = None

    def places(self, db: str) -> list[Place]:
        """Where the backups of a database stand, oldest first by the time in their id."""
        found = (place_of(each.key) for each in self.storage.list(database_of(db)))
        return sorted((place for place in found if place is not None), key=lambda p: p.id)

    def manifest(self, place: Place) -> Manifest:
        """The manifest, read from the store and believed.

        Raises:
            Damaged: it or its signature is missing, changed, or not by a trusted key.
            UsageError: nobody is trusted.
        """
        data = self._part(place.manifest, "the manifest is missing")
        signature = self._part(place.signature, "the signature of the manifest is missing")
        self._must_trust()
        if not signed_by_trusted(data, signature, self.trusted):
            problem = (
                "the manifest was changed, or is not signed by a key in keys.trusted (forged, or "
                f"the signature {place.signature} is damaged)"
            )
            raise Damaged(Fault(place.manifest, problem))
        try:
            manifest = parse_manifest(data, place)
        except IntegrityError as error:
            raise Damaged(Fault(place.manifest, str(error))) from error
        self._remember(place, data, signature)
        return manifest

    def known(self, place: Place) -> Manifest:
        """As `manifest`, from the index where it has it: for lists, not for verification."""
        held = self._recalled(place)
        return self.manifest(place) if held is None else held

    def listed(self, databases: Sequence[str]) -> Iterator[Manifest | Fault]:
        """Every backup of these databases, or why one does not count."""
        for db in databases:
            for place in self.places(db):
                try:
                    yield self.known(place)
                except Damaged as error:
                    yield error.fault

    def forget(self, place: Place) -> None:
        """Take it out of the index, once it is gone from the store."""
        entry = self._entry(place)
        if entry is not None:
            entry.unlink(missing_ok=True)

    def newest(self, db: str) -> Place:
        """The newest committed backup of a database. Raises UsageError when there is none."""
        places = self.places(db)
        if not places:
            raise UsageError(f"there is no backup of {db!r} yet; make one: sre backup run {db}")
        return places[-1]

    def _must_trust(self) -> None:
        if not self.trusted:
            raise UsageError(
                "keys.trusted is empty: no manifest could be believed; "
                "add the line of signing.pub that sre backup keys new made"
            )

    def _part(self, key: str, problem: str) -> bytes:
        try:
            return self.storage.get(key)
        except KeyError:
            raise Damaged(Fault(key, problem)) from None

    def _entry(self, place: Place) -> Path | None:
        return None if self.index is None else self.index / f"{place.db}-{place.id}.json"

    def _remember(self, place: Place, data: bytes, signature: bytes) -> None:
        entry = self._entry(place)
        if entry is not None and not entry.exists():
            content = {"manifest": data.decode(), "signature": signature.hex()}
            replace_file(entry, json.dumps(content).encode())

    def _recalled(self, place: Place) -> Manifest | None:
        """From the index; anything odd there means asking the store."""
        entry = self._entry(place)
        if entry is None or not entry.exists():
            return None
        try:
            found = json.loads(entry.read_bytes())
            data, signature = found["manifest"].encode(), bytes.fromhex(found["signature"])
            if not signed_by_trusted(data, signature, self.trusted):
                return None
            return parse_manifest(data, place)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, IntegrityError):
            return None


def index_folder(state: Path, store_name: str, store: object) -> Path:
    """Where the index of a store is kept; another bucket has another index."""
    digest = hashlib.sha256(repr(store).encode()).hexdigest()[:12]
    return state / "backup-index" / f"{store_name}-{digest}"
