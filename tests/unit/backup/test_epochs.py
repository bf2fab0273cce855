"""Do the log's keys go once nothing needs them, and never one that a piece of log still names?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sre.backup.audit.doing import audit_log
from sre.backup.audit.record import parse_entry
from sre.backup.layout import Place, new_id
from sre.backup.lease import Terms
from sre.backup.lease import hold as leasing
from sre.backup.model import Keys
from sre.backup.objects import ObjectInfo
from sre.backup.pruning.epochs import YOUNG, apply_epochs, judge_epochs, plan_epochs
from sre.backup.pruning.prune import plan_prune, prune
from sre.backup.pruning.render import plan_as_json, plan_as_text
from sre.backup.storage.memory import MemoryStorage
from sre.backup.upkeep import LockState
from sre.core.clock import FakeClock
from sre.core.errors import Transient
from tests.unit.backup.prunable import DAY, Shop, Store, make_shop
from tests.unit.backup.setting import make_keys

START = 1_800_000_000.0


def key(number: int) -> str:
    return f"v1/keys/log-20260101T00000{number}Z-0000000{number}.age"


def stem(number: int) -> str:
    return key(number).removeprefix("v1/keys/").removesuffix(".age")


def record(number: int, db: str = "orders") -> str:
    return f"v1/{db}/7-16/log/00000001/0000000100000000{number:08X}.json"


def put_record(storage: MemoryStorage, number: int, names: int, db: str = "orders") -> None:
    storage.put(record(number, db), json.dumps({"key": key(names), "n": number}).encode())


@given(
    made=st.lists(st.floats(0, 8), min_size=1, max_size=8),
    pieces=st.lists(st.tuples(st.integers(0, 7), st.floats(0, 8), st.booleans()), max_size=12),
    wrapped=st.sets(st.integers(0, 7)),
    gone=st.sets(st.integers(0, 11)),
)
@settings(max_examples=60)
def test_whatever_is_left_still_opens(
    made: list[float],
    pieces: list[tuple[int, float, bool]],
    wrapped: set[int],
    gone: set[int],
) -> None:
    """Keys of any age, pieces of any database at any time: what a record names is there."""
    clock = FakeClock(START)
    storage, events = MemoryStorage(clock), list[tuple[float, int, str]]()
    events += [(day, each, "key") for each, day in enumerate(made)]
    events += [(day, number, "piece") for number, (_, day, _) in enumerate(pieces)]
    for day, number, what in sorted(events):
        clock._now = START + day * DAY
        if what == "key":
            storage.put(key(number), b"wrapped")
            if number in wrapped:
                storage.put(key(number).replace(".age", ".001.age"), b"again")
                storage.put(key(number).replace(".age", ".001.json"), b"{}")
        else:
            put_record(
                storage, number, pieces[number][0], "users" if pieces[number][2] else "orders"
            )
    clock._now = now = START + 9 * DAY
    going = {each for each in storage.objects if item_number(each) in gone}
    plan = apply_epochs(storage, plan_epochs(storage, now, going))
    assert plan.blocked == ""
    left = {each for each in storage.objects if each.startswith("v1/keys/")}
    needed = {pieces[item_number(each)][0] for each in storage.objects if each.endswith(".json")
              and "/log/" in each and each not in going}  # fmt: skip
    for number, day in enumerate(made):
        stays = number in needed or 9 - day < YOUNG / DAY
        assert (key(number) in left) is stays
        assert any(each.startswith(key(number).removesuffix("age")) for each in left) is stays
    assert plan.kept + len(plan.spent) == len(made)


def item_number(name: str) -> int:
    return int(name[-13:-5], 16) if "/log/" in name else -1


@given(st.dictionaries(st.integers(0, 9), st.floats(0, 10 * DAY)), st.sets(st.integers(0, 9)))
def test_judging_is_by_need_and_age_alone(ages: dict[int, float], needed: set[int]) -> None:
    families = {stem(n): [ObjectInfo(key(n), 7, START - age)] for n, age in ages.items()}
    plan = judge_epochs(families, {stem(n) for n in needed}, START)
    went = {each.name for each in plan.spent}
    assert went == {stem(n) for n, age in ages.items() if age >= YOUNG and n not in needed}
    assert plan.kept == len(ages) - len(went)


@pytest.fixture
def old() -> tuple[MemoryStorage, float]:
    """One key that a record names, one that none names."""
    clock = FakeClock(START)
    storage = MemoryStorage(clock)
    storage.put(key(1), b"a")
    storage.put(key(2), b"b")
    put_record(storage, 1, 1)
    return storage, START + 5 * DAY


def test_a_record_that_cannot_be_read_keeps_all(old: tuple[MemoryStorage, float]) -> None:
    storage, now = old
    storage.objects[record(2)] = b"\xff no json"
    plan = plan_epochs(storage, now)
    assert plan.spent == ()
    assert record(2) in plan.blocked


def test_a_list_that_leaves_out_objects_keeps_all(
    old: tuple[MemoryStorage, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, now = old
    whole, calls = storage.list, list[int]()

    def short(prefix: str) -> list[ObjectInfo]:
        calls.append(1)
        return [each for each in whole(prefix) if len(calls) != 1 or "/log/" not in each.key]

    monkeypatch.setattr(storage, "list", short)
    plan = plan_epochs(storage, now)
    assert (plan.spent, "two lists" in plan.blocked) == ((), True)


def test_a_store_that_stops_answering_keeps_all(
    old: tuple[MemoryStorage, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_key: str) -> bytes:
        raise Transient("it does not answer")

    monkeypatch.setattr(old[0], "get", away)
    plan = plan_epochs(*old)
    assert (plan.spent, plan.blocked) == ((), "it does not answer")


def test_a_copy_that_runs_keeps_all(old: tuple[MemoryStorage, float]) -> None:
    storage, now = old
    clock = FakeClock(now)
    with leasing(storage, Terms("users", "copy", 1e9, frozenset(), False, "o"), clock):
        plan = plan_epochs(storage, now)
    assert plan.spent == ()
    assert plan.blocked.startswith("spared: ")
    assert [each.name for each in plan_epochs(storage, now).spent] == [stem(2)]


def test_what_is_locked_stays(tmp_path: Path) -> None:
    clock = FakeClock(START)
    storage = Store(clock)
    storage.put(key(1), b"a")
    storage.locks[key(1)] = LockState(START + 100 * DAY, "COMPLIANCE")
    done = apply_epochs(storage, plan_epochs(storage, START + 5 * DAY))
    assert (done.deleted, done.locked, key(1) in storage.objects) == (0, 1, True)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    keys: Keys = make_keys(tmp_path / "keys")
    return make_shop(tmp_path, keys)


def test_a_prune_takes_them_and_says_so(shop: Shop) -> None:
    for day in range(3):
        shop.add(day)
    shop.clock._now = START
    shop.store.put(key(1), b"a")
    shop.clock._now = START + 4 * DAY
    shop.store.put(key(2), b"b")
    [planned] = plan_prune(shop.job)
    assert f"1 kept, 1 to go ({stem(1)})" in plan_as_text([planned], dry_run=True)
    assert key(1) in shop.store.objects
    [done] = prune(shop.job, confirmed=1)
    assert done.keys is not None
    assert (done.keys.deleted, key(1) in shop.store.objects) == (1, False)
    assert key(2) in shop.store.objects
    told = json.loads(plan_as_json([done], dry_run=False))["databases"][0]["log_keys"]
    assert (told["deleted"], told["kept"], told["spared"]) == (1, 1, 1)
    objects = audit_log(shop.job, "main").objects()
    records = [parse_entry(data).record for _, data in sorted(objects.items())]
    assert ("prune-keys", (stem(1),)) in [(each.action, each.objects) for each in records]


def test_a_guard_that_stops_a_prune_keeps_them_too(shop: Shop) -> None:
    shop.add(0)
    shop.store.put(key(1), b"a")
    shop.clock.advance(DAY)
    place = Place("orders", "7-16", new_id(shop.clock.wall(), "full", bytes(8)))
    shop.store.put(place.volume(0), b"begun, and never ended")
    shop.clock.advance(9 * DAY)
    [done] = prune(shop.job)
    assert done.plan.blocked
    assert done.keys is None
    assert key(1) in shop.store.objects
