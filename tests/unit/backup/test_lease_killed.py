"""What is left of a lease when its holder ended in the very moment in which he took it?"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from sre.backup.claim import lease_key, parse_claim
from sre.backup.lease import Terms, hold
from sre.backup.objects import Cell
from sre.backup.owners import owners_in, write_owners
from sre.backup.storage.memory import MemoryStorage
from sre.core.clock import FakeClock
from sre.core.errors import Locked
from tests.unit.backup.setting import TarDatabase, make_job, make_keys

KEY = lease_key("orders", "run")


class Killed(BaseException):
    """As `kill -9` does it: nothing runs any more."""


class Dying(MemoryStorage):
    """Once armed, whoever takes the lease dies before he hears that he has it."""

    armed = dead = False

    def cell(self, key: str) -> Cell:
        if self.dead:
            raise Killed
        return super().cell(key)

    def swap(self, key: str, data: bytes, version: str) -> Cell:
        found = super().swap(key, data, version)
        self.dead = self.armed
        if self.dead:
            raise Killed
        return found


def test_killed_before_it_knew_that_the_lease_was_its_own(tmp_path: Path) -> None:
    """The next run on that machine need not wait; one elsewhere must."""
    clock = FakeClock()
    storage, keys = Dying(clock), make_keys(tmp_path / "k")
    here, there = (
        dataclasses.replace(
            make_job(tmp_path / each, keys, TarDatabase(tmp_path), storage=storage), clock=clock
        )
        for each in ("here", "there")
    )
    declared, storage.armed = here.declared("orders"), True
    for _ in range(2):  # the second is killed where it takes over from the first
        with pytest.raises(Killed), here.lock("run", "orders"), here.lease(declared, "run"):
            pass
        storage.dead = False
    storage.armed = False
    with pytest.raises(Locked), there.lock("run", "orders"), there.lease(declared, "run"):
        pass
    with here.lock("run", "orders"), here.lease(declared, "run") as lease:
        assert lease.fence == 3


def test_told_to_end_while_it_takes_the_lease() -> None:
    """Nobody has to wait for it, on no machine."""
    storage = MemoryStorage(FakeClock())
    swap = storage.swap

    def told(key: str, data: bytes, version: str) -> Cell:
        swap(key, data, version)
        storage.swap = swap  # type: ignore[method-assign]
        raise KeyboardInterrupt

    storage.swap = told  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt), hold(storage, Terms("orders", "run"), storage.clock):
        pass
    assert parse_claim(storage.objects[KEY], KEY).released
    with hold(storage, Terms("orders", "run"), storage.clock) as lease:
        assert lease.fence == 2


def test_the_note_of_owners_does_not_grow(tmp_path: Path) -> None:
    """The one that held the lease stays in it however often others failed since."""
    note = tmp_path / "note"
    write_owners(note, ("first",))
    for number in range(100):
        write_owners(note, (*owners_in(note), f"later{number}"))
    found = owners_in(note)
    assert (found[0], found[-1], len(found)) == ("first", "later99", 32)
    for text in ("torn", "other another-boot\n", ""):
        note.write_text(text)
        assert owners_in(note) == ()
