"""Does a prune delete what it planned, and is nothing half there whenever it dies?"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sre.backup.attest import attest
from sre.backup.job import Job
from sre.backup.keys import sign
from sre.backup.layout import Place, new_id
from sre.backup.listing import list_backups
from sre.backup.manifest import Manifest
from sre.backup.model import Keys
from sre.backup.pruning.marks import hold, release
from sre.backup.pruning.prune import Planned, blocked, plan_prune, prune
from sre.backup.records import Verification
from sre.backup.runner import run_backup
from sre.backup.storage.memory import MemoryStorage
from sre.backup.tier import Keep, Tier, Verify
from sre.backup.upkeep import LockState, Pending
from sre.core.clock import FakeClock
from sre.core.errors import Refused, Transient, UsageError
from tests.unit.backup.setting import TarDatabase, make_job, make_keys, make_tar, shop_files

DAY = 86400.0
START = 1_800_000_000.0
KEEP = Keep(daily=2, min_verified_fulls=1)


class Store(MemoryStorage):
    """It can die at its n-th deletion, before or after it, or lie in lists."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.left: int | None = None
        self.after = False
        self.hidden = ""
        self.deletes = 0

    def put(self, key: str, data: bytes) -> None:
        if self.left is not None and "expiring" in key:
            self._count(lambda: super(Store, self).put(key, data))
        else:
            super().put(key, data)

    def delete(self, key: str) -> None:
        self._count(lambda: super(Store, self).delete(key))

    def _count(self, act: Any) -> None:
        self.deletes += 1
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                if self.after:
                    act()
                raise KeyboardInterrupt
        act()

    def list(self, prefix: str) -> Iterator[Any]:
        for each in super().list(prefix):
            if self.hidden and self.hidden in each.key:
                continue
            yield each


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys") / "keys")


@dataclasses.dataclass
class Shop:
    """A store with backups whose bytes do not matter."""

    job: Job
    store: Store
    clock: FakeClock

    def add(self, day: float, *, level: int | None = 3, size: int = 100, **more: Any) -> Manifest:
        """A committed backup of that day, verified unless told."""
        at = START + day * DAY
        kind = more.get("kind", "full")
        place = Place("orders", "7-16", new_id(at, kind, os.urandom(8)))
        volumes = tuple(
            {"object": place.volume(n), "bytes": 4, "sha256": "", "plain_bytes": 4,
             "plain_sha256": ""} for n in range(3)
        )  # fmt: skip
        from sre.backup.manifest import Volume

        manifest = Manifest(
            id=place.id, db="orders", engine="postgres", version="16.4", place="7-16", kind=kind,
            parent=more.get("parent"), tier="gold", started=at - 60, finished=at, consistent=at,
            source_bytes=size, stored_bytes=size, key=place.key, key_bytes=4, key_sha256="",
            recipients=(), volumes=tuple(Volume(**each) for each in volumes), dump={}, argv=(),
            tool="test",
        )  # fmt: skip
        before, self.clock._now = self.clock._now, at
        data = manifest.encode()
        for volume in manifest.volumes:
            self.store.put(volume.object, b"data")
        self.store.put(place.key, b"key!")
        self.store.put(place.folder + "map.age", b"a map")
        self.store.put(place.signature, sign(data, self.job.backups.keys.signing))
        self.store.put(place.manifest, data)
        if level is not None:
            self.verify(manifest, level)
        self.clock._now = max(before, at)
        return manifest

    def verify(self, manifest: Manifest, level: int = 3, *, passed: bool = True) -> None:
        from sre.backup.records import Fault

        faults = () if passed else (Fault("x", "bad"),)
        at = self.clock.wall() + 1
        found = Verification(manifest.id, "orders", level, at, faults=faults)
        assert attest(self.store, self.job.backups.keys, found)

    def ids(self) -> list[str]:
        backups, faults = list_backups(self.job)
        assert faults == []
        return [each.id for each in backups]

    def whole(self) -> None:
        """No manifest without all of its objects."""
        for db in ("orders",):
            for found in self.job.catalogue(self.job.declared(db)).listed([db]):
                assert isinstance(found, Manifest)
                for key in (*(v.object for v in found.volumes), found.key, found.where.signature):
                    assert self.store.head(key) is not None, key


def make_shop(tmp_path: Path, keys: Keys, keep: Keep | None = KEEP) -> Shop:
    clock = FakeClock(START)
    store = Store(clock)
    tier = Tier(keep=keep, verify=Verify(level=3))
    job = make_job(tmp_path, keys, TarDatabase(tmp_path / "none"), storage=store, tier=tier)
    return Shop(dataclasses.replace(job, clock=clock, lease_ttl=1e9), store, clock)


@pytest.fixture
def shop(tmp_path: Path, keys: Keys) -> Shop:
    return make_shop(tmp_path, keys)


def only(plans: list[Planned]) -> Planned:
    [planned] = plans
    return planned


def test_what_goes_goes_whole(shop: Shop) -> None:
    made = [shop.add(day) for day in range(10)]
    shop.clock.advance(3600)
    planned = only(plan_prune(shop.job))
    assert len(planned.plan.those("delete")) == 8
    before = dict(shop.store.objects)
    assert shop.store.objects == before
    with pytest.raises(Refused, match=r"8 of 10 .*--confirm-count 8"):
        prune(shop.job)
    with pytest.raises(Refused, match="8 backups would be deleted, not 7"):
        prune(shop.job, confirmed=7)
    assert {k for k in before if "locks" not in k} <= set(shop.store.objects)
    done = only(prune(shop.job, confirmed=8))
    assert done.done is not None
    assert sorted(done.done.deleted) == [each.id for each in made[:8]]
    assert shop.ids() == [each.id for each in made[8:]]
    left = " ".join(shop.store.objects)
    for each in made[:8]:
        assert each.id not in left
    again = only(prune(shop.job, confirmed=8))
    assert again.done is not None
    assert again.done.deleted == ()
    fact = shop.job.facts.read("backup/orders/retention")
    assert fact is not None
    assert fact.value["restorable_verified"] == 2


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_every_step(tmp_path: Path, keys: Keys, *, after: bool) -> None:
    """Whatever deletion it dies at: what is listed is whole, and a rerun completes."""
    for step in itertools.count():
        shop = make_shop(tmp_path / f"{step}", keys)
        made = [shop.add(day) for day in range(4)]
        child = shop.add(0.5, kind="incr", parent=made[0].id)
        shop.clock.advance(60)
        shop.store.left, shop.store.after = step, after
        died = False
        try:
            prune(shop.job, confirmed=3)
        except KeyboardInterrupt:
            died = True
        shop.store.left = None
        shop.whole()
        ids = shop.ids()
        assert {made[2].id, made[3].id} <= set(ids)
        if child.id in ids:
            assert made[0].id in ids
        count = len(only(plan_prune(shop.job)).plan.those("delete"))
        prune(shop.job, confirmed=count)
        assert shop.ids() == [made[2].id, made[3].id]
        left = [key for key in shop.store.objects if "locks" not in key]
        gone = (made[0].id, made[1].id, child.id)
        assert not [key for key in left if any(id_ in key for id_ in gone)]
        if not died:
            assert step > 20
            return


def test_a_hold_keeps_and_a_release_lets_go(shop: Shop) -> None:
    made = [shop.add(day) for day in range(10)]
    child = shop.add(1.5, kind="incr", parent=made[1].id)
    held = hold(shop.job, child.id, "court order")
    assert held.new
    assert not hold(shop.job, child.id, "again").new
    with pytest.raises(UsageError, match="reason"):
        hold(shop.job, made[0].id, " ")
    prune(shop.job, confirmed=7)
    assert {child.id, made[1].id} <= set(shop.ids())
    [entry] = [each for each in list_backups(shop.job)[0] if each.id == child.id]
    assert entry.held
    assert release(shop.job, child.id) is not None
    assert release(shop.job, child.id) is None
    prune(shop.job, confirmed=2)
    assert shop.ids() == [made[8].id, made[9].id]


def test_what_is_locked_is_retained_and_the_run_is_good(shop: Shop) -> None:
    made = [shop.add(day) for day in range(10)]
    child = shop.add(0.5, kind="incr", parent=made[0].id)
    shop.store.locks[child.volumes[1].object] = LockState(shop.clock.wall() + DAY, "COMPLIANCE")
    done = only(prune(shop.job, confirmed=7))
    assert [each.id for each in done.plan.those("retained")] == [child.id]
    assert not blocked([done])
    assert {made[0].id, child.id} <= set(shop.ids())
    fact = shop.job.facts.read("backup/orders/retention")
    assert fact is not None
    assert fact.value["retained_locked_bytes"] == child.stored_bytes
    shop.clock.advance(2 * DAY)
    prune(shop.job, confirmed=2)
    assert shop.ids() == [made[8].id, made[9].id]


def test_a_list_that_fails_or_leaves_out_deletes_nothing(shop: Shop) -> None:
    made = [shop.add(day) for day in range(10)]
    shop.clock.advance(5 * DAY)
    kept = set(shop.store.objects)
    shop.store.hidden = f"{made[3].id}/manifest.json"
    with pytest.raises(Transient, match="not in the store's list"):
        prune(shop.job, confirmed=8)

    class Broken(Store):
        def list(self, prefix: str) -> Iterator[Any]:
            for number, each in enumerate(Store.list(self, prefix)):
                if number == 30:
                    raise Transient("page 2")
                yield each

    shop.store.hidden = ""
    shop.store.__class__ = Broken
    with pytest.raises(Transient, match="page 2"):
        prune(shop.job, confirmed=8)
    shop.store.__class__ = Store
    assert kept <= set(shop.store.objects)
    assert shop.store.deletes == 0


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
    from sre.backup.tier import Lock

    tar = make_tar(tmp_path / "db.tar", shop_files(1000))
    tier = Tier(lock=Lock("GOVERNANCE", 3))
    job = make_job(tmp_path, keys, TarDatabase(tar), tier=tier)
    with pytest.raises(Refused, match="a folder has none"):
        run_backup(job, "orders")
