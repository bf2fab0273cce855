"""What does one command on backups need around it: the store, the lock, the journal, the facts?"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sre.backup.catalogue import Catalogue, index_folder
from sre.backup.claim import CONFLICTS
from sre.backup.heed import heed
from sre.backup.layout import ID, Place
from sre.backup.lease import Lease, Terms, hold
from sre.backup.model import Backups, Declared
from sre.backup.objects import Storage
from sre.backup.owners import owners_file, owners_in, write_owners
from sre.core.clock import Clock, SystemClock
from sre.core.errors import Locked, Transient, UsageError
from sre.core.facts import Facts
from sre.core.files import state_folder
from sre.core.journal import Journal
from sre.core.lock import exclusive

__all__ = ["Job", "Target"]


_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Target:
    """One backup of one declared database, found."""

    declared: Declared
    place: Place
    catalogue: Catalogue


@dataclass(frozen=True)
class Job:
    """The surroundings of every command. Tests give their own `state`, `clock` and `storages`."""

    backups: Backups
    state: Path = field(default_factory=state_folder)
    clock: Clock = field(default_factory=SystemClock)
    storages: dict[str, Storage] = field(default_factory=dict)
    """Opened stores by name; those of the declaration are opened when they are used."""
    lease_ttl: float = 60.0
    """Seconds that a lease holds unless it is renewed; every third of it, it is."""
    hinted: set[str] = field(default_factory=set, compare=False, repr=False)
    """What was said of stores already: once for each command, however many databases."""

    @property
    def facts(self) -> Facts:
        """What the other wings may read."""
        return Facts(self.state, self.clock)

    def note(self, event: str, **details: Any) -> None:
        """Add a line to the journal of backups; secrets are masked there."""
        Journal(self.state / "journal" / "backup.jsonl", self.clock).append(
            {"event": event, **details}
        )

    def declared(self, name: str) -> Declared:
        """A database of sre.yaml. Raises UsageError."""
        found = self.backups.databases.get(name)
        if found is None:
            known = ", ".join(sorted(self.backups.databases)) or "none"
            raise UsageError(f"sre.yaml declares no database {name!r}; known: {known}")
        return found

    def at(self, store: str | None) -> Job:
        """The same surroundings with every database in another store of sre.yaml (`--from`).

        None changes nothing. Raises UsageError when sre.yaml declares no such store.
        """
        if store is None:
            return self
        there = self.backups.stores.get(store)
        if there is None:
            known = ", ".join(sorted(self.backups.stores)) or "none"
            raise UsageError(f"sre.yaml declares no store {store!r}; known: {known}")
        moved = {
            name: dataclasses.replace(each, store_name=store, store=there)
            for name, each in self.backups.databases.items()
        }
        return dataclasses.replace(self, backups=dataclasses.replace(self.backups, databases=moved))

    def storage(self, declared: Declared) -> Storage:
        """The store of a database, opened once."""
        if declared.store_name not in self.storages:
            self.storages[declared.store_name] = declared.store.open()
        return self.storages[declared.store_name]

    def catalogue(self, declared: Declared) -> Catalogue:
        """What is in the store of a database."""
        index = index_folder(self.state, declared.store_name, declared.store)
        return Catalogue(self.storage(declared), self.backups.keys.trusted, index)

    def find(self, target: str) -> Target:
        """A database's newest backup, or the backup with that id. Raises UsageError."""
        if not ID.fullmatch(target):
            declared = self.declared(target)
            catalogue = self.catalogue(declared)
            return Target(declared, catalogue.newest(target), catalogue)
        silent: Transient | None = None
        for declared in self.backups.databases.values():
            catalogue = self.catalogue(declared)
            try:
                places = catalogue.places(declared.name)
            except Transient as error:
                silent = error  # it may stand in another store
                continue
            for place in places:
                if place.id == target:
                    return Target(declared, place, catalogue)
        if silent is not None:
            raise silent
        raise UsageError(f"there is no backup {target!r}; see: sre backup list")

    @contextlib.contextmanager
    def lock(self, what: str, db: str) -> Iterator[None]:
        """One run at a time of this kind for a database on this machine. Raises Locked."""
        with exclusive(self.state / "locks" / f"backup-{what}-{db}", f"backup {what} {db}"):
            yield

    @contextlib.contextmanager
    def lease(self, declared: Declared, op: str) -> Iterator[Lease]:
        """One such operation at a time for a database, whichever machine it runs on.

        Only inside `lock(op, declared.name)`, the cheap first fence: whoever holds that here knows
        that an earlier holder of this machine is dead, and need not wait for its lease to end.

        Raises:
            Refused: the store was seen not to keep what this relies on (`heed`).
            Locked: somebody holds it, or what it excludes (`claim.CONFLICTS`).
            UsageError, Transient: the store keeps no conditions, or does not answer.
        """
        for hint in heed(self.facts, declared, op, self.clock):
            if hint not in self.hinted:
                self.hinted.add(hint)
                _log.warning("%s", hint)
        note, owner = owners_file(self.state, declared, op), secrets.token_hex(16)
        before = owners_in(note)
        others = (self._dead_owners(declared, other) for other in CONFLICTS.get(op, ()))
        dead = frozenset(before).union(*others)
        alone = bool(getattr(declared.store, "single_writer", False))
        terms = Terms(declared.name, op, self.lease_ttl, dead, alone, owner)
        write_owners(note, (*before, owner))  # first: killed in between, the next run knows us
        with hold(self.storage(declared), terms, self.clock) as lease:
            write_owners(note, (owner,))
            yield lease

    def _dead_owners(self, declared: Declared, op: str) -> tuple[str, ...]:
        """Who held another lease here and has ended since; nobody while somebody may."""
        try:
            with self.lock(op, declared.name):
                return owners_in(owners_file(self.state, declared, op))
        except Locked:
            return ()
