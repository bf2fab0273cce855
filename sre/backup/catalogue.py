"""Which backups are there, and are they whose they claim to be?

The store is the truth: a backup exists when its manifest does, and counts when a trusted key signed
it. What was read and believed once is kept in a local index, which may be removed at any time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sre.backup.condition import conditions
from sre.backup.index import Entry, Index
from sre.backup.keys import signed_by_trusted
from sre.backup.layout import Place, database_of, place_of
from sre.backup.manifest import LARGEST, Manifest, parse_manifest
from sre.backup.objects import ObjectInfo, Storage
from sre.backup.records import Fault
from sre.backup.standing import Chosen, Standing, choose, stand
from sre.backup.twice import read_until_good, read_until_sound
from sre.core.errors import IntegrityError, UsageError

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
        return [place for place, _info, _stamp in self._manifests(db)]

    def _manifests(self, db: str) -> list[tuple[Place, ObjectInfo, str]]:
        objects = {each.key: each for each in self.storage.list(database_of(db))}
        places = [place for key in objects if (place := place_of(key)) is not None]
        return [
            (place, objects[place.manifest], _stamp(objects, place.manifest))
            for place in sorted(places, key=lambda place: place.id)
        ]

    def manifest(self, place: Place) -> Manifest:
        """The manifest, read from the store and believed.

        Raises:
            Damaged: it or its signature is missing, changed, or not by a trusted key.
            UsageError: nobody is trusted.
        """
        manifest, entry = self._read(place)
        if self.index is not None:
            Index(self.index).remember([(place.manifest, entry)])
        return manifest

    def signed_bytes(self, place: Place) -> tuple[bytes, bytes]:
        """The manifest as it was signed, and its signature; raises as `manifest`.

        Not `Manifest.encode()`: an older version of this program wrote fewer fields.
        """
        entry = self._read(place)[1]
        return entry.data, entry.signature

    def _read(self, place: Place) -> tuple[Manifest, Entry]:
        return read_until_sound(lambda: self._read_once(place))

    def _read_once(self, place: Place) -> tuple[Manifest, Entry]:
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
            return parse_manifest(data, place), Entry(data, signature)
        except IntegrityError as error:
            raise Damaged(Fault(place.manifest, str(error))) from error

    def known(self, place: Place) -> Manifest:
        """As `manifest`, from the index where it has it: for lists, not for verification."""
        held = None
        if self.index is not None:
            entries = Index(self.index).recall(place.manifest)
            held = self._recalled(place, entries.get(place.manifest))
        return self.manifest(place) if held is None else held

    def listed(
        self, databases: Sequence[str], progress: Callable[[int], None] = lambda _count: None
    ) -> Iterator[Manifest | Fault]:
        """Every backup of these databases, or why one does not count; `progress` counts them."""
        for db in databases:
            for found, _info in self._listed(db):
                progress(1)
                yield found

    def _listed(self, db: str) -> Iterator[tuple[Manifest | Fault, ObjectInfo]]:
        index = None if self.index is None else Index(self.index)
        entries = {} if index is None else index.recall(database_of(db))
        fresh: list[tuple[str, Entry]] = []
        try:
            for place, info, stamp in self._manifests(db):
                entry = entries.get(place.manifest)
                held = self._recalled(place, entry) if entry and entry.stamp == stamp else None
                try:
                    if held is None:
                        held, entry = self._read_listed(place, info)
                        fresh.append((place.manifest, entry._replace(stamp=stamp)))
                    yield held, info
                except Damaged as error:
                    yield error.fault, info
        finally:
            if index is not None:
                index.remember(fresh)

    def _read_listed(self, place: Place, info: ObjectInfo) -> tuple[Manifest, Entry]:
        if info.size > LARGEST:
            raise Damaged(Fault(place.manifest, f"{info.size} bytes are no manifest of ours"))
        return self._read(place)

    def signed_objects(self, prefix: str) -> Iterator[tuple[str, bytes]]:
        """Every `….json` below a prefix over which a trusted key made the `….json.sig` beside it.

        What a list shows unchanged comes from the index.
        """
        index = None if self.index is None else Index(self.index)
        entries = {} if index is None else index.recall(prefix)
        objects = {each.key: each for each in self.storage.list(prefix)}
        fresh: list[tuple[str, Entry]] = []
        for key in objects:
            if key.endswith(".json") and f"{key}.sig" in objects:
                entry, stamp = entries.get(key), _stamp(objects, key)
                if entry is None or entry.stamp != stamp or not self.believes(entry):
                    entry = self._fetched(key, stamp)
                    if entry is None:
                        continue
                    fresh.append((key, entry))
                yield key, entry.data
        if index is not None:
            index.remember(fresh)

    def _fetched(self, key: str, stamp: str) -> Entry | None:
        def read() -> Entry:
            return Entry(self.storage.get(key), self.storage.get(f"{key}.sig"), stamp)

        try:
            entry = read_until_good(read, self.believes)
        except KeyError:
            return None
        return entry if self.believes(entry) else None

    def believes(self, entry: Entry) -> bool:
        """Whether a trusted key signed it."""
        return signed_by_trusted(entry.data, entry.signature, self.trusted)

    def forget(self, place: Place) -> None:
        """Take it out of the index, once it is gone from the store."""
        if self.index is not None:
            Index(self.index).forget([place.manifest])

    def newest(self, db: str) -> Place:
        """The backup committed last, by the store's clock; ids are dated by their hosts' clocks.

        Raises UsageError when there is none.
        """
        found = self._manifests(db)
        if not found:
            raise UsageError(f"there is no backup of {db!r} yet; make one: sre backup run {db}")
        return max(found, key=lambda each: (each[1].modified or 0.0, each[0].id))[0]

    def standing(self, db: str) -> Standing:
        """What can be relied on, and what cannot, with the reason.

        Not usable: quarantined, shredded, a manifest that does not count, and all that builds on
        such a one. Raises UsageError, Transient.
        """
        found = list(self._listed(db))
        good = [(each, info) for each, info in found if isinstance(each, Manifest)]
        bad = [(each, info) for each, info in found if isinstance(each, Fault)]
        return stand(good, bad, conditions(self.storage, self.trusted))

    def usable(self, db: str) -> tuple[Manifest, ...]:
        """The backups to restore from or to build on, oldest first by their commit."""
        return self.standing(db).usable

    def newest_good(self, db: str) -> Chosen:
        """The newest usable backup, and which newer ones were passed over, with the reason.

        Raises:
            UsageError: there is no backup.
            Damaged: there are some, and none of them can be relied on.
        """
        try:
            return choose(self.standing(db), db)
        except IntegrityError as error:
            raise Damaged(Fault(database_of(db), str(error))) from error

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

    def _recalled(self, place: Place, entry: Entry | None) -> Manifest | None:
        """From the index; anything odd there means asking the store."""
        if entry is None or not self.believes(entry):
            return None
        try:
            return parse_manifest(entry.data, place)
        except IntegrityError:
            return None


def _stamp(objects: Mapping[str, ObjectInfo], key: str) -> str:
    """How an object and its signature stand in a list: another one put there differs."""
    both = (objects.get(key), objects.get(f"{key}.sig"))
    return " ".join("-" if each is None else f"{each.size}@{each.modified}" for each in both)


def index_folder(state: Path, store_name: str, store: object) -> Path:
    """Where the index of a store is kept; another bucket has another index."""
    digest = hashlib.sha256(repr(store).encode()).hexdigest()[:12]
    return state / "backup-index" / f"{store_name}-{digest}"
