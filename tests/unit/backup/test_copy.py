"""Does a second store get whole, genuine backups or nothing, and is its lateness known?"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from sre.backup.attest import best_of
from sre.backup.copying.copy import plan_copy, targets_of
from sre.backup.copying.facts import last_copies
from sre.backup.copying.records import exit_code
from sre.backup.job import Job
from sre.backup.manifest import Manifest
from sre.backup.metrics import samples
from sre.backup.model import Declared, Keys, Tier
from sre.backup.restoring.restore import restore_to
from sre.backup.runner import run_backup
from sre.backup.storage.memory import MemoryStorage
from sre.backup.verifying.verify import verify
from sre.core.clock import FakeClock
from sre.core.errors import Locked, SreError, Transient, UsageError
from tests.unit.backup.regions import copied, memory, there, two_stores
from tests.unit.backup.setting import TarDatabase, make_job, make_keys, make_tar, shop_files


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys") / "keys")


@pytest.fixture(scope="module")
def taken(
    keys: Keys, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Manifest, dict[str, bytes]]:
    """A good, verified backup and the store as it was then."""
    folder = tmp_path_factory.mktemp("taken")
    storage = MemoryStorage()
    tar = make_tar(folder / "db.tar", shop_files())
    job = make_job(folder, keys, TarDatabase(tar), storage=storage)
    manifest = run_backup(job, "orders")
    assert verify(job, "orders", 1).passed
    return manifest, dict(storage.objects)


@pytest.fixture
def job(taken: tuple[Manifest, dict[str, bytes]], keys: Keys, tmp_path: Path) -> Job:
    storage = MemoryStorage()
    storage.objects = dict(taken[1])
    return two_stores(make_job(tmp_path, keys, TarDatabase(tmp_path / "none"), storage=storage))


def test_a_copy_is_a_backup_of_its_own(
    job: Job, taken: tuple[Manifest, dict[str, bytes]], tmp_path: Path
) -> None:
    """The first store is gone: list, verify and restore from the second one."""
    found = copied(job)
    assert [each.state for each in found.backups] == ["copied"]
    assert (found.missing_objects, found.lag_seconds, found.faults) == (0, 0.0, ())
    memory(job, "main").objects.clear()
    away = job.at("offsite")
    assert there(job) == [taken[0].id]
    assert best_of(away.catalogue(away.declared("orders")))[taken[0].id].level == 1
    assert verify(away, "orders", 1).passed
    restore_to(away, "orders", tmp_path / "out")
    for name, data in shop_files().items():
        assert (tmp_path / "out" / name).read_bytes() == data


def test_a_second_pass_has_nothing_to_do(job: Job) -> None:
    copied(job)
    before = {
        key: data
        for key, data in memory(job, "offsite").objects.items()
        if key.startswith(("v1/orders/", "v1/keys/", "v1/attest/"))
    }
    again = copied(job)
    assert [each.state for each in again.backups] == ["there"]
    assert all(memory(job, "offsite").objects[key] == data for key, data in before.items())
    assert again.beside == 0


def test_a_later_verification_follows(job: Job) -> None:
    copied(job)
    assert verify(job, "orders", 1).passed
    assert copied(job).beside == 1


def test_the_manifest_is_last_and_its_signature_before_it(
    job: Job, taken: tuple[Manifest, dict[str, bytes]]
) -> None:
    copied(job)
    order = [key for key in memory(job, "offsite").objects if key.startswith(("v1/o", "v1/k"))]
    place = taken[0].where
    assert order[-2:] == [place.signature, place.manifest]
    assert order.index(place.key) > max(order.index(each.object) for each in taken[0].volumes)


def keys_of(manifest: Manifest) -> Iterator[str]:
    yield manifest.volumes[1].object
    yield manifest.key
    yield manifest.where.manifest
    yield manifest.where.signature


@pytest.mark.parametrize("number", range(4), ids=["volume", "key", "manifest", "signature"])
@pytest.mark.parametrize("damage", ["changed", "missing", "cut"])
def test_damage_in_the_source_is_named_and_not_copied(
    job: Job, taken: tuple[Manifest, dict[str, bytes]], number: int, damage: str
) -> None:
    key = list(keys_of(taken[0]))[number]
    held = memory(job, "main").objects
    if damage == "missing":
        del held[key]
    elif damage == "cut":
        held[key] = held[key][:-1]
    else:
        held[key] = held[key][:-1] + bytes([held[key][-1] ^ 1])
    found = copied(job)
    assert there(job) == []
    assert taken[0].where.manifest not in memory(job, "offsite").objects
    if key == taken[0].where.manifest and damage == "missing":
        assert found.backups == ()  # no manifest, no backup
        return
    assert exit_code([found]) == 7
    assert key.removesuffix(".sig") in found.faults[0].object
    assert found.faults[0].object.startswith("main: ")


def test_what_an_interrupted_copy_left_is_used(
    job: Job, taken: tuple[Manifest, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = memory(job, "main")
    stream, failing = source.stream, {"on": True}

    def breaks(key: str) -> Iterator[bytes]:
        if failing["on"] and key == taken[0].volumes[2].object:
            raise Transient("the store cannot be reached")
        return stream(key)

    monkeypatch.setattr(source, "stream", breaks)
    with pytest.raises(Transient, match="main: the store cannot be reached"):
        copied(job)
    assert there(job) == []
    assert taken[0].volumes[0].object in memory(job, "offsite").objects
    assert last_copies(job, "orders")["offsite"]["exit_code"] == 4
    failing["on"] = False
    found = copied(job)
    assert [each.state for each in found.backups] == ["copied"]
    assert 0 < found.backups[0].bytes < taken[0].stored_bytes
    assert verify(job.at("offsite"), "orders", 1).passed


def test_other_bytes_that_stand_at_the_target_are_named(
    job: Job, taken: tuple[Manifest, dict[str, bytes]]
) -> None:
    """Planted before the copy, as long as the genuine object."""
    volume = taken[0].volumes[0]
    memory(job, "offsite").put(volume.object, b"x" * volume.bytes)
    found = copied(job)
    assert found.faults[0].object == f"offsite: {volume.object}"
    assert there(job) == []
    assert memory(job, "offsite").objects[volume.object] == b"x" * volume.bytes


@pytest.mark.parametrize("what", ["key", "volume"])
def test_what_went_missing_at_the_target_is_put_back(
    job: Job, taken: tuple[Manifest, dict[str, bytes]], what: str
) -> None:
    copied(job)
    key = taken[0].key if what == "key" else taken[0].volumes[0].object
    del memory(job, "offsite").objects[key]
    assert plan_copy(job, "orders", "offsite").missing_objects == 1
    assert not verify(job.at("offsite"), "orders", 0).passed
    found = copied(job)
    assert [each.state for each in found.backups] == ["healed"]
    assert found.missing_objects == 0
    assert verify(job.at("offsite"), "orders", 1).passed


def test_a_dry_run_writes_nothing(job: Job) -> None:
    found = plan_copy(job, "orders", "offsite")
    assert [each.state for each in found.backups] == ["waiting"]
    assert found.missing_objects > 0
    assert memory(job, "offsite").objects == {}


def test_what_is_late_is_measured(job: Job, taken: tuple[Manifest, dict[str, bytes]]) -> None:
    clock = FakeClock(taken[0].finished + 3600)
    found = plan_copy(dataclasses.replace(job, clock=clock), "orders", "offsite")
    assert found.lag_seconds == pytest.approx(3600)


def test_a_clock_that_lies_behind_gives_no_negative_lag(
    job: Job, taken: tuple[Manifest, dict[str, bytes]]
) -> None:
    clock = FakeClock(taken[0].finished - 86400)
    found = plan_copy(dataclasses.replace(job, clock=clock), "orders", "offsite")
    assert found.lag_seconds == 0.0


def test_metrics_tell_the_lag_of_each_store(job: Job) -> None:
    copied(job)
    found = {(n, m.get("store")): v for n, m, v in samples(job.facts)}
    assert found["sre_backup_replica_lag_seconds", "offsite"] == 0.0
    assert found["sre_backup_replica_missing_objects", "offsite"] == 0.0
    assert found["sre_backup_replica_last_success_timestamp_seconds", "offsite"] > 0


def test_retention_at_the_target_waits_for_a_copy(job: Job) -> None:
    away = job.at("offsite")
    with (
        away.lock("prune", "orders"),
        away.lease(away.declared("orders"), "prune"),
        pytest.raises(Locked),
    ):
        copied(job)


def test_a_copier_needs_neither_identity_nor_signing_key(job: Job, keys: Keys) -> None:
    bare = Keys(recipients=keys.recipients, trusted=keys.trusted)
    copier = dataclasses.replace(job, backups=dataclasses.replace(job.backups, keys=bare))
    assert [each.state for each in copied(copier).backups] == ["copied"]


@pytest.mark.parametrize(
    ("names", "to", "problem"),
    [
        (("orders",), "nowhere", "declares no store 'nowhere'"),
        (("orders",), "main", "stands in 'main'"),
        (("nothing",), None, "declares no database"),
    ],
)
def test_wrong_names(job: Job, names: tuple[str, ...], to: str | None, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        targets_of(job, names, to)


def test_without_copies_there_is_nothing_to_do(job: Job) -> None:
    bare = two_stores(job, Tier())
    with pytest.raises(UsageError, match="there is nothing to copy"):
        targets_of(bare, (), None)
    assert targets_of(bare, ("orders",), "offsite") == [("orders", "offsite")]


def declared(job: Job) -> Declared:
    return job.declared("orders")


def test_a_job_at_a_store_that_is_not_declared(job: Job) -> None:
    with pytest.raises(SreError, match="known: main, offsite"):
        job.at("elsewhere")
    assert declared(job.at("offsite")).store_name == "offsite"
