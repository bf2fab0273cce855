"""When may a backup build on another, and what happens where it may not?"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self

import pytest

from sre.backup.attest import attest
from sre.backup.catalogue import Damaged
from sre.backup.condition import quarantine, shredded_mark
from sre.backup.job import Job
from sre.backup.manifest import Manifest
from sre.backup.model import Keys, Lock, Tier
from sre.backup.pages.choose import MOST_LINKS
from sre.backup.pages.identity import opener, recipient
from sre.backup.pruning.locking import objects_of
from sre.backup.records import Fault, Verification
from sre.backup.restoring.chain import chain_of, extract_chain, open_chain
from sre.backup.runner import plan_backup, run_backup
from sre.backup.storage.memory import MemoryStorage
from sre.backup.upkeep import LockState, ObjectLock
from sre.backup.verifying.verify import verify
from tests.unit.backup.paged import NOISE, PAGE, PagedDatabase, server_manifest, state
from tests.unit.backup.setting import make_job, make_keys, make_tar


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys") / "keys")


@pytest.fixture(scope="module")
def taken(
    keys: Keys, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[Manifest], dict[str, bytes]]:
    """A chain of three, and the store as it was then."""
    folder, storage = tmp_path_factory.mktemp("taken"), MemoryStorage()
    job = make_job(folder, keys, PagedDatabase(folder / "db.tar"), storage=storage)
    made = []
    for number, kind in enumerate(("full", "differential", "incremental")):
        state(folder, number)
        made.append(run_backup(job, "orders", kind))
    assert [each.kind for each in made] == ["full", "differential", "incremental"]
    return made, dict(storage.objects)


@pytest.fixture
def made(taken: tuple[list[Manifest], dict[str, bytes]]) -> list[Manifest]:
    """The chain that `job` finds in its store."""
    return taken[0]


@pytest.fixture
def job(taken: tuple[list[Manifest], dict[str, bytes]], keys: Keys, tmp_path: Path) -> Job:
    """A job over a copy of that store; the database is as it was at the last one."""
    storage = MemoryStorage()
    storage.objects = dict(taken[1])
    state(tmp_path, 2)
    return make_job(tmp_path, keys, PagedDatabase(tmp_path / "db.tar"), storage=storage)


def objects(job: Job) -> dict[str, bytes]:
    storage = job.storages["main"]
    assert isinstance(storage, MemoryStorage)
    return storage.objects


def restore(job: Job, manifest: Manifest, folder: Path) -> tuple[Fault, ...]:
    found = job.find(manifest.id)
    chain = open_chain(found.catalogue, manifest.where, job.backups.keys)
    folder.mkdir()
    return extract_chain(chain, folder, None, lambda _count: None)


def test_a_chain_restores_and_every_kind_and_parent_is_told(
    job: Job, made: list[Manifest], tmp_path: Path
) -> None:
    assert [each.parent for each in made] == [None, made[0].id, made[1].id]
    assert made[1].id.split("-")[1] == "diff"
    assert made[1].stored_bytes < made[0].stored_bytes / 10
    assert made[1].stored_bytes > sum(each.bytes for each in made[1].volumes) + made[1].key_bytes
    assert made[2].dump["changed"] == 1
    assert restore(job, made[2], tmp_path / "out") == ()
    files = state(tmp_path, 2)
    for name, data in files.items():
        assert (tmp_path / "out" / name).read_bytes() == data
    again = run_backup(job, "orders", "differential")
    assert again.parent == made[0].id
    assert again.dump["changed"] == 2


@pytest.mark.parametrize("link", [0, 1, 2])
def test_damage_in_any_link_names_its_object(
    job: Job, made: list[Manifest], tmp_path: Path, link: int
) -> None:
    key = made[link].volumes[-1].object
    data = objects(job)[key]
    objects(job)[key] = data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[
        len(data) // 2 + 1 :
    ]  # fmt: skip
    faults = restore(job, made[2], tmp_path / "out")
    assert [fault.object for fault in faults] == [key]
    assert verify(job, made[2].id, 1).exit_code == 7


def test_what_does_not_become_what_the_server_sent_is_found_by_file(
    job: Job, tmp_path: Path
) -> None:
    files = state(tmp_path, 1)
    del files["backup_manifest"]
    files["backup_manifest"] = server_manifest({**files, "base/1/2": NOISE[PAGE : 10 * PAGE]})
    make_tar(tmp_path / "db.tar", files)
    made = run_backup(job, "orders", "incremental")
    faults = restore(job, made, tmp_path / "out")
    assert ["base/1/2: its SHA256" in fault.problem for fault in faults] == [True], faults


Spoil = Callable[[Job, list[Manifest]], None]


def _failed(job: Job, made: list[Manifest]) -> None:
    bad = Verification(made[0].id, "orders", 3, 1.0, failures=(Fault("server", "does not start"),))
    assert attest(job.storages["main"], job.backups.keys, bad)


def _quarantined(job: Job, manifest: Manifest) -> None:
    faults = [Fault(manifest.volumes[0].object, "damaged")]
    storage, keys = job.storages["main"], job.backups.keys
    assert quarantine(storage, keys, manifest.where, faults, at=1.0, level=1)


def _shredded(job: Job, manifest: Manifest) -> None:
    storage, keys = job.storages["main"], job.backups.keys
    shredded_mark(storage, keys, manifest.where, at=1.0, reason="asked", objects=[manifest.key])


def _sidecar(job: Job, made: list[Manifest], data: bytes | None) -> None:
    assert made[0].sidecar is not None
    if data is None:
        del objects(job)[made[0].sidecar.object]
    else:
        objects(job)[made[0].sidecar.object] = data


def _swap(job: Job, made: list[Manifest]) -> None:
    """Another backup's genuine map."""
    assert made[-1].sidecar is not None
    _sidecar(job, made, objects(job)[made[-1].sidecar.object])


SPOILS: dict[str, tuple[Spoil, str]] = {
    "failed verification": (_failed, "verification failed"),
    "being deleted": (
        lambda job, made: job.storages["main"].put(made[0].where.mark("expiring"), b"{}"),
        "being deleted",
    ),
    "no sidecar": (lambda job, made: _sidecar(job, made, None), "missing"),
    "forged sidecar": (lambda job, made: _sidecar(job, made, b"x" * 99), "not the one"),
    "other sidecar": (_swap, "not the one"),
    "lost volume": (
        lambda job, made: objects(job).pop(made[0].volumes[0].object) and None, "missing",
    ),
    "damaged manifest": (
        lambda job, made: objects(job).update({made[-1].where.manifest: b"{}"}), "damaged",
    ),
    "quarantined full": (lambda job, made: _quarantined(job, made[0]), "quarantined on"),
    "quarantined newest": (lambda job, made: _quarantined(job, made[-1]), "quarantined on"),
    "shredded full": (lambda job, made: _shredded(job, made[0]), "shredded on"),
}  # fmt: skip


@pytest.mark.parametrize("what", SPOILS)
def test_a_doubtful_chain_becomes_a_full_one_that_says_why(
    job: Job, made: list[Manifest], tmp_path: Path, what: str
) -> None:
    spoil, reason = SPOILS[what]
    spoil(job, made)
    found = run_backup(job, "orders", "incremental")
    assert (found.kind, found.parent, found.id.split("-")[1]) == ("full", None, "full")
    assert found.dump["asked"] == "incremental"
    assert reason in found.dump["full_because"]
    assert restore(job, found, tmp_path / "out") == ()


@pytest.mark.parametrize(
    ("change", "reason"), [({"timeline": 2}, "timeline 2"), ({"system": "71"}, "no full backup")]
)
def test_another_server_or_timeline_begins_anew(
    job: Job, keys: Keys, tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    database = PagedDatabase(tmp_path / "db.tar", **change)  # type: ignore[arg-type]
    other = make_job(tmp_path, keys, database, storage=job.storages["main"])
    plan = plan_backup(other, "orders", "differential")
    assert plan.choice.kind == "full"
    assert reason in plan.choice.reason


def test_another_signing_key_cannot_read_the_map_and_says_so(
    job: Job, keys: Keys, tmp_path: Path
) -> None:
    other = make_keys(tmp_path / "other")
    mixed = dataclasses.replace(
        keys, signing=other.signing, trusted=(*keys.trusted, *other.trusted)
    )
    database = job.backups.databases["orders"].database
    found = run_backup(
        make_job(tmp_path, mixed, database, storage=job.storages["main"]), "orders", "incremental"
    )
    assert found.kind == "full"
    assert "keys.signing here does not open it" in found.dump["full_because"]


@pytest.mark.long
def test_a_chain_has_six_links_and_then_begins_anew(job: Job, tmp_path: Path) -> None:
    objects(job).clear()
    made = [run_backup(job, "orders")]
    for number in range(3, 4 + MOST_LINKS):
        state(tmp_path, number)
        made.append(run_backup(job, "orders", "incremental"))
    assert [each.kind for each in made] == ["full", *["incremental"] * MOST_LINKS, "full"]
    assert "6 are the most" in made[-1].dump["full_because"]
    assert restore(job, made[-2], tmp_path / "out") == ()


def test_a_host_that_may_sign_opens_maps_but_no_backup(
    job: Job, keys: Keys, tmp_path: Path
) -> None:
    writer = dataclasses.replace(keys, identity=None)
    database = job.backups.databases["orders"].database
    alone = make_job(tmp_path, writer, database, storage=job.storages["main"])
    made = run_backup(alone, "orders", "differential")
    assert made.kind == "differential"
    with pytest.raises(Damaged):
        open_chain(alone.catalogue(alone.declared("orders")), made.where, writer)
    assert opener(keys.signing) not in {b.decode("latin-1") for b in objects(job).values()}
    assert recipient(keys.signing) not in made.recipients


def test_what_builds_on_a_backup_that_is_gone_does_not_count(
    job: Job, made: list[Manifest], tmp_path: Path
) -> None:
    del objects(job)[made[1].where.manifest]
    with pytest.raises(Damaged):
        chain_of(job.catalogue(job.declared("orders")), made[2].where)


class LockingStorage(MemoryStorage):
    """Memory where what is written is locked as the last tier asked."""

    lock = ObjectLock("GOVERNANCE", 0.0)

    def locking(self, lock: ObjectLock) -> Self:
        self.lock = lock
        return self

    def put(self, key: str, data: bytes) -> None:
        super().put(key, data)
        self.extend_lock(key, self.lock)

    def upload(self, key: str, chunks: Iterable[bytes]) -> int:
        size = super().upload(key, chunks)
        self.extend_lock(key, self.lock)
        return size

    def extend_lock(self, key: str, lock: ObjectLock) -> None:
        self.locks[key] = LockState(lock.until, lock.mode)


def test_what_it_builds_on_is_locked_as_long_as_itself(keys: Keys, tmp_path: Path) -> None:
    storage, made = LockingStorage(), []
    state(tmp_path, 0)
    for days in (1, 30):
        tier = Tier(lock=Lock(days=days))
        database = PagedDatabase(tmp_path / "db.tar")
        job = make_job(tmp_path, keys, database, storage=storage, tier=tier)
        made.append(run_backup(job, "orders", "incremental"))
    until = storage.lock_of(made[1].where.manifest).until
    assert made[1].parent == made[0].id
    assert until is not None
    assert all(storage.lock_of(key).until == until for key in objects_of(made[0]))
