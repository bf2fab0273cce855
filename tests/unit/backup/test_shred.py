"""Does a shredded backup open for nobody again, and is nothing shredded that is still wanted?"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from sre.backup.job import Job
from sre.backup.keyring.rewrap import rewrap
from sre.backup.keyring.shred import plan_shred, shred
from sre.backup.keyring.survey import openers, try_keys
from sre.backup.keys import new_backup_key
from sre.backup.listing import list_backups, show_backup
from sre.backup.model import Keys
from sre.backup.pruning.marks import hold
from sre.backup.pruning.prune import prune
from sre.backup.runner import run_backup
from sre.backup.storage.memory import MemoryStorage
from sre.backup.tier import Keep, Tier
from sre.backup.upkeep import LockState
from sre.backup.verifying.verify import verify
from sre.core.errors import Locked, Refused, Transient, UsageError
from tests.unit.backup.keyed import Dying, manifests, opens, store, under
from tests.unit.backup.prunable import make_shop
from tests.unit.backup.setting import TarDatabase, make_job, make_keys, make_tar, shop_files


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys") / "old")


@pytest.fixture(scope="module")
def taken(keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder, storage = tmp_path_factory.mktemp("taken"), MemoryStorage()
    tar = make_tar(folder / "db.tar", shop_files(2**16))
    for _ in range(2):
        run_backup(make_job(folder, keys, TarDatabase(tar), storage=storage), "orders")
    return dict(storage.objects)


@pytest.fixture
def job(taken: dict[str, bytes], keys: Keys, tmp_path: Path) -> Job:
    storage = Dying()
    storage.objects = dict(taken)
    return make_job(tmp_path, keys, TarDatabase(tmp_path / "none"), storage=storage)


def test_shredded_is_gone_for_ever_and_said_everywhere(job: Job, keys: Keys) -> None:
    one, other = manifests(job)
    with pytest.raises(UsageError, match="--reason"):
        shred(job, [one.id], reason=" ")
    assert plan_shred(job, [one.id])[0].ids == (one.id,)
    done = shred(job, [one.id], reason='customer 7 asked: "erase ünï"')
    assert done.done == {"main": (one.id,)}
    assert [key for key in store(job).objects if one.id in key and "/keys/" in key] == []
    shown = {each.id: each for each in list_backups(job)[0]}
    assert 'erase ünï"' in str(shown[one.id].shredded)
    assert shown[one.id].verified is None
    assert shown[other.id].shredded is None
    assert show_backup(job, one.id)[1].shredded
    for level in (0, 1):
        found = verify(job, one.id, level)
        assert found.exit_code == 7
        assert "shredded" in found.faults[0].problem
    catalogue = job.catalogue(job.declared("orders"))
    assert [each.id for each in catalogue.usable("orders")] == [other.id]
    assert shred(job, [one.id], reason="again").keys == 0
    assert try_keys(job, keys).opened == (other.id,)
    assert openers(job)[0].shredded == (one.id,)
    assert rewrap(job, [one.id])[0] == []


@pytest.mark.parametrize("writes", range(3))
def test_a_half_shredded_backup_opens_no_more(job: Job, keys: Keys, writes: int) -> None:
    rewrap(under(job, dataclasses.replace(keys, recipients=(*keys.recipients, _stranger()))))
    one, _ = manifests(job)
    store(job).left = writes
    with pytest.raises(KeyboardInterrupt):
        shred(job, [one.id], reason="x")
    store(job).left = None
    assert opens(job, keys) == [False, True]
    shred(job, [one.id], reason="x")
    assert [key for key in store(job).objects if one.id in key and "/keys/" in key] == []


def _stranger() -> str:
    return new_backup_key()[1]


def test_what_is_held_or_locked_or_not_there_is_not_shredded(job: Job) -> None:
    one, other = manifests(job)
    before = {k: v for k, v in store(job).objects.items() if "/keys/" in k}
    with pytest.raises(UsageError, match="no backup"):
        shred(job, [one.id[:-8] + "zzzzzzzz"], reason="x")
    store(job).locks[one.key] = LockState(job.clock.wall() + 9e5, "COMPLIANCE")
    with pytest.raises(Refused, match=r"locked \(COMPLIANCE\) until .*nothing was touched"):
        shred(job, [one.id, other.id], reason="x")
    store(job).locks.clear()
    hold(job, one.id, "court")
    with pytest.raises(Refused, match=r"held by .*court"):
        shred(job, [one.id], reason="x")
    with (
        job.lock("run", "orders"),
        job.lease(job.declared("orders"), "run"),
        pytest.raises(Locked),
    ):
        shred(job, [other.id], reason="x")
    assert {k: v for k, v in store(job).objects.items() if "/keys/" in k} == before


def test_children_and_retention(keys: Keys, tmp_path: Path) -> None:
    shop = make_shop(tmp_path, keys, Keep(last=9, min_verified_fulls=1))
    full = shop.add(0)
    shop.add(1, kind="incr", parent=full.id)
    kept = shop.add(2)
    shop.clock._now += 3600
    with pytest.raises(Refused, match=r"builds on .*--with-children"):
        shred(shop.job, [full.id], reason="x")
    done = shred(shop.job, [full.id], reason="x", children=True)
    assert done.done["main"][-1] == full.id, "children first"
    assert [
        each.id for each in shop.job.catalogue(shop.job.declared("orders")).usable("orders")
    ] == [kept.id]
    plan = prune(shop.job, confirmed=2)[0].plan
    assert [each.backup.id for each in plan.decisions if each.action == "keep"] == [kept.id]
    assert shop.ids() == [kept.id]
    assert [key for key in shop.store.objects if full.id in key] == []


def test_prune_takes_every_form_of_a_key(job: Job, keys: Keys, tmp_path: Path) -> None:
    rewrap(under(job, dataclasses.replace(keys, recipients=(*keys.recipients, _stranger()))))
    one, other = manifests(job)
    tier = Tier(keep=Keep(last=1, min_verified_fulls=1))
    declared = dataclasses.replace(job.declared("orders"), tier=tier)
    job = dataclasses.replace(
        job, backups=dataclasses.replace(job.backups, databases={"orders": declared})
    )
    assert verify(job, other.id, 1).passed
    prune(job, confirmed=1)
    assert [key for key in store(job).objects if one.id in key] == []
    assert opens(job, keys) == [True]


def with_copy(job: Job, taken: dict[str, bytes]) -> Job:
    """The same two backups in a store of copies."""
    away = Dying()
    away.objects = dict(taken)
    declared = dataclasses.replace(job.declared("orders"), tier=Tier(copies=("away",)))
    stores = {**job.backups.stores, "away": job.backups.stores["main"]}
    backups = dataclasses.replace(job.backups, stores=stores, databases={"orders": declared})
    return dataclasses.replace(job, backups=backups, storages={**job.storages, "away": away})


def test_copies_elsewhere_are_named_or_shredded_too(
    job: Job, keys: Keys, taken: dict[str, bytes]
) -> None:
    job = with_copy(job, taken)
    away = job.storages["away"]
    assert isinstance(away, Dying)
    one, other = manifests(job)
    assert shred(job, [one.id], reason="x", where="here").elsewhere == {"away": (one.id,)}
    done = shred(job, [one.id, other.id], reason="x")
    assert done.done == {"main": (one.id, other.id), "away": (one.id, other.id)}
    assert done.elsewhere == {}
    assert [key for key in away.objects if "/keys/" in key] == []


@pytest.mark.parametrize("when", ["from the start", "in between"])
def test_a_copy_that_is_out_of_reach_is_named(
    job: Job, keys: Keys, taken: dict[str, bytes], when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_: object) -> None:
        raise Transient("it does not answer")

    job = with_copy(job, taken)
    away = job.storages["away"]
    one, _ = manifests(job)
    monkeypatch.setattr(away, "list" if when == "from the start" else "delete", silent)
    with pytest.raises(Transient):
        shred(job, [one.id], reason="x", where="everywhere")
    assert opens(job, keys)[0] is (when == "from the start"), "the own store goes first"
    done = shred(job, [one.id], reason="x")
    assert (done.done, done.elsewhere) == ({"main": (one.id,)}, {"away": (one.id,)})
    assert opens(job, keys) == [False, True]
    monkeypatch.undo()
    done = shred(job, [one.id], reason="x")
    assert (done.done, done.elsewhere) == ({"main": (one.id,), "away": (one.id,)}, {})
