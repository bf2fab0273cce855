"""Is a byte that was turned over on the way once never taken for damage in the store?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sre.backup.catalogue import Damaged
from sre.backup.condition import condition_of, quarantine
from sre.backup.job import Job
from sre.backup.listing import list_backups
from sre.backup.manifest import Manifest
from sre.backup.records import Fault
from sre.backup.restoring.restore import restore_to
from sre.backup.runner import run_backup
from sre.backup.storage.memory import MemoryStorage
from sre.backup.twice import read_alike, read_until_good, read_until_sound
from sre.backup.verifying.verify import verify
from sre.core.errors import IntegrityError, Transient
from tests.unit.backup.setting import TarDatabase, make_job, make_keys, make_tar, shop_files

MANIFEST, SIGNATURE, KEY = r"manifest\.json$", r"manifest\.json\.sig$", r"/keys/.*\.age$"
VOLUME = r"v00000\d\.zst\.age$"


class Flipping(MemoryStorage):
    """A store, and a way from it on which the middle byte of the next answers turns over."""

    def __init__(self) -> None:
        super().__init__()
        self.where, self.times, self.hits = "", 0, 0

    def plan(self, where: str, times: int = 1) -> None:
        self.where, self.times, self.hits = where, times, 0

    def _passed(self, key: str, data: bytes) -> bytes:
        if not self.times or not data or not re.search(self.where, key):
            return data
        self.times, self.hits = self.times - 1, self.hits + 1
        half = len(data) // 2
        return data[:half] + bytes([data[half] ^ 4]) + data[half + 1 :]

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        return self._passed(key, super().get(key, start, length))

    def stream(self, key: str) -> Iterator[bytes]:
        yield self._passed(key, b"".join(super().stream(key)))


@pytest.fixture
def storage() -> Flipping:
    return Flipping()


@pytest.fixture
def job(tmp_path: Path, storage: Flipping) -> Job:
    tar = make_tar(tmp_path / "db.tar", shop_files())
    keys = make_keys(tmp_path / "keys")
    return make_job(tmp_path / "state", keys, TarDatabase(tar), storage=storage)


@pytest.fixture
def made(job: Job) -> Manifest:
    return run_backup(job, "orders")


@pytest.mark.parametrize("where", [MANIFEST, SIGNATURE, KEY, VOLUME])
def test_once_is_no_damage(
    job: Job, storage: Flipping, made: Manifest, where: str, tmp_path: Path
) -> None:
    """A verification passes, a restore is whole, nothing is quarantined."""
    storage.plan(where)
    assert verify(job, made.id, 1).passed
    assert storage.hits == 1
    storage.plan(where)
    restore_to(job, made.id, tmp_path / "out")
    assert storage.hits == 1
    for name, data in shop_files().items():
        assert (tmp_path / "out" / name).read_bytes() == data
    assert condition_of(storage, job.backups.keys.trusted, made.where) is None
    fresh = make_job(tmp_path / "elsewhere", job.backups.keys, TarDatabase(tmp_path / "no"),
                     storage=storage)  # fmt: skip
    storage.plan(where)
    found, faults = list_backups(fresh, "orders")
    assert ([each.id for each in found], faults) == ([made.id], [])


@pytest.mark.parametrize("where", [MANIFEST, SIGNATURE, KEY, VOLUME])
def test_always_is_damage(
    job: Job, storage: Flipping, made: Manifest, where: str, tmp_path: Path
) -> None:
    storage.plan(where, times=10**6)
    assert not verify(job, made.id, 1).passed
    with pytest.raises(Damaged):
        restore_to(job, made.id, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_quarantine_is_not_overlooked(job: Job, storage: Flipping, made: Manifest) -> None:
    """A mark whose bytes came turned over counts still."""
    keys = job.backups.keys
    assert quarantine(storage, keys, made.where, [Fault("x", "bad")], at=1.0, level=1)
    storage.plan("/marks/")
    assert condition_of(storage, keys.trusted, made.where) is not None
    assert storage.hits == 1


def test_two_readings() -> None:
    """Pure: how often is asked, and what decides."""
    answers = [1, 2, 2, 3]
    assert read_alike(lambda: answers.pop(0)) == 2
    assert answers == [3]
    with pytest.raises(Transient, match="other bytes each time"):
        read_alike(iter(range(100)).__next__)
    asked = iter(range(100))
    assert read_until_good(asked.__next__, lambda found: found > 0) == 1
    assert read_until_good(asked.__next__, lambda found: found > 0) == 2

    def bad() -> int:
        next(asked)
        raise IntegrityError("bad")

    with pytest.raises(IntegrityError):
        read_until_sound(bad)
    assert next(asked) == 5
