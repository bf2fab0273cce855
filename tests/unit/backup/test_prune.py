"""Does a prune delete what it planned, and is nothing half there whenever it dies?"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sre.backup.listing import list_backups
from sre.backup.model import Keys
from sre.backup.pruning.marks import hold, release
from sre.backup.pruning.prune import blocked, plan_prune, prune
from sre.backup.upkeep import LockState
from sre.core.errors import Refused, Transient, UsageError
from tests.unit.backup.prunable import DAY, Shop, Store, make_shop, only
from tests.unit.backup.setting import make_keys


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys") / "keys")


@pytest.fixture
def shop(tmp_path: Path, keys: Keys) -> Shop:
    return make_shop(tmp_path, keys)


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
