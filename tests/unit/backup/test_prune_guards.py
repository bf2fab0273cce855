"""What stops a prune, what is spared, and what happens to garbage?"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from pathlib import Path

import pytest

from sre.backup.layout import Place, new_id
from sre.backup.listing import list_backups
from sre.backup.model import Keys
from sre.backup.pruning.prune import blocked, plan_prune, prune
from sre.backup.runner import run_backup
from sre.backup.tier import Keep, Lock, Tier
from sre.backup.upkeep import Pending
from sre.backup.verifying.verify import verify
from sre.core.clock import FakeClock
from sre.core.errors import Locked, Refused
from tests.unit.backup.prunable import DAY, START, Shop, make_shop, only
from tests.unit.backup.setting import TarDatabase, make_job, make_keys, make_tar, shop_files


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys") / "keys")


@pytest.fixture
def shop(tmp_path: Path, keys: Keys) -> Shop:
    return make_shop(tmp_path, keys)


def test_orphans(shop: Shop) -> None:
    """Old ones go with their key, young ones and other people's stay."""
    stamp = new_id(START, "full", b"abcdefgh")
    old, other = Place("orders", "7-16", stamp), Place("ordersx", "7-16", stamp)
    for place in (old, other):
        shop.store.put(place.volume(0), b"half")
    shop.store.put(old.key, b"key!")
    shop.store.put("v1/orders/7-16/log/1/000.zst.age", b"log")
    shop.store.unfinished["u1"] = Pending(old.volume(1), "u1", START, 50)
    for day in range(1, 4):
        shop.add(day)
    young = Place("orders", "7-16", new_id(START + 3 * DAY, "full", b"hgfedcba"))
    shop.store.put(young.volume(0), b"going on")
    shop.clock.advance(-30)  # the volume is a second older than the newest backup's commit
    shop.store.stored[young.volume(0)] = START + 2.9 * DAY
    shop.clock.advance(60)
    done = only(prune(shop.job, confirmed=1))
    assert done.done is not None
    assert done.done.orphans == 2
    assert shop.store.unfinished == {}
    assert shop.store.head(old.volume(0)) is None
    assert shop.store.head(old.key) is None
    for key in (other.volume(0), young.volume(0), "v1/orders/7-16/log/1/000.zst.age"):
        assert shop.store.head(key) is not None
    fact = shop.job.facts.read("backup/orders/retention")
    assert fact is not None
    assert fact.value["orphan_bytes"] == len(b"going on")


def test_a_backup_that_runs_elsewhere_spares_the_orphans(shop: Shop) -> None:
    place = Place("orders", "7-16", new_id(START, "full", b"abcdefgh"))
    shop.store.put(place.volume(0), b"half")
    for day in range(1, 4):
        shop.add(day)
    with shop.job.lease(shop.job.declared("orders"), "run"):
        [orphan] = only(plan_prune(shop.job)).found.orphans
        assert (orphan.delete, orphan.reason.code) == (False, "busy")
    [orphan] = only(plan_prune(shop.job)).found.orphans
    assert orphan.delete


def test_a_planted_mark_deletes_nothing(shop: Shop) -> None:
    """A bucket writer cannot make us take a running backup for one that is being deleted."""
    place = Place("orders", "7-16", new_id(START + 3 * DAY, "full", b"abcdefgh"))
    made = [shop.add(day) for day in range(4)]
    shop.store.put(place.volume(0), b"running")
    copied = shop.store.get(made[0].where.manifest)
    content = {"schema": "sre.expiring/1", "manifest": copied.hex(), "signature": "00"}
    shop.store.put(place.mark("expiring"), json.dumps(content).encode())
    found = only(plan_prune(shop.job)).found
    assert found.rests == ()
    assert [each.reason.code for each in found.orphans] == ["young"]


@pytest.mark.parametrize(
    ("cause", "code"),
    [("shrunk", "shrunk"), ("failed", "newest-failed"), ("clock", "clock"),
     ("run", "newest-failed"), ("half", "newest-failed"), ("future", "future")],
)  # fmt: skip
def test_guards_stop_everything(shop: Shop, cause: str, code: str) -> None:
    for day in range(10):
        shop.add(day)
    job = shop.job
    if cause == "shrunk":
        shop.add(11, size=49)
    elif cause == "failed":
        shop.verify(shop.add(11, level=None), passed=False)
    elif cause == "clock":
        local = FakeClock(shop.clock.wall() - 301)
        job = dataclasses.replace(job, clock=local)
    elif cause == "run":
        attempt = {"at": START + 11 * DAY, "seconds": 1, "exit_code": 1}
        job.facts.publish("backup/orders/run", {"db": "orders", "attempt": attempt})
    elif cause == "half":
        shop.clock.advance(DAY)
        place = Place("orders", "7-16", new_id(shop.clock.wall(), "full", b"abcdefgh"))
        shop.store.put(place.volume(0), b"half")
    else:
        place = shop.add(11).where
        shop.store.stored[place.manifest] = None  # type: ignore[assignment]
        shop.clock._now = START + 10.5 * DAY
    before = set(shop.store.objects)
    done = only(prune(job, confirmed=None))
    assert code in {each.code for each in done.plan.blocked}
    assert blocked([done])
    assert before <= set(shop.store.objects)


def test_without_a_policy_nothing_goes(tmp_path: Path, keys: Keys) -> None:
    shop = make_shop(tmp_path, keys, None)
    made = [shop.add(day) for day in range(10)]
    prune(shop.job)
    assert shop.ids() == [each.id for each in made]


def test_a_tier_with_locks_refuses_a_store_without(tmp_path: Path, keys: Keys) -> None:
    tar = make_tar(tmp_path / "db.tar", shop_files(1000))
    tier = Tier(lock=Lock("GOVERNANCE", 3))
    job = make_job(tmp_path, keys, TarDatabase(tar), tier=tier)
    with pytest.raises(Refused, match="a folder has none"):
        run_backup(job, "orders")


def test_a_folder_with_real_backups(tmp_path: Path, keys: Keys) -> None:
    """Real volumes, real files, the draft of a run that was killed yesterday."""
    tar = make_tar(tmp_path / "db.tar", shop_files(50_000))
    tier = Tier(keep=Keep(last=1, min_verified_fulls=1))
    job = make_job(tmp_path, keys, TarDatabase(tar), tier=tier)
    made = [run_backup(job, "orders") for _ in range(3)]
    assert verify(job, made[2].id, 1).passed
    root = tmp_path / "store"
    draft = root / made[0].where.folder / ".draft-0123"
    draft.write_bytes(b"half")
    os.utime(draft, (time.time() - 2 * DAY,) * 2)
    done = only(prune(job, confirmed=2))
    assert done.done is not None
    assert done.done.orphans == 1
    assert [each.id for each in list_backups(job)[0]] == [made[2].id]
    left = [str(path) for path in root.rglob("*") if path.is_file()]
    assert not [path for path in left if made[0].id in path or made[1].id in path]
    assert verify(job, "orders", 1).passed


@pytest.mark.parametrize("said", [[], ["--yes"], ["--dry-run"]])
def test_a_locked_store_is_another_runs_business(shop: Shop, said: list[str]) -> None:
    """A plan can always be made; deleting waits for whoever takes a backup."""
    for day in range(10):
        shop.add(day)
    job = shop.job
    with job.lock("run", "orders"), job.lease(job.declared("orders"), "run"):
        if said == ["--yes"]:
            with pytest.raises(Locked):
                prune(shop.job, confirmed=8)
        else:
            assert len(only(plan_prune(shop.job)).plan.those("delete")) == 8
    assert len(shop.ids()) == 10
