"""Is what can be relied on chosen right, and is the index a cache that nobody gains by changing?"""

from __future__ import annotations

import dataclasses
import json
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from sre.backup.catalogue import Damaged
from sre.backup.condition import condition_of, conditions, lift, quarantine
from sre.backup.keys import new_keys
from sre.backup.listing import list_backups, show_backup
from sre.backup.manifest import Manifest
from sre.backup.model import Keys
from sre.backup.pruning.prune import plan_prune
from sre.backup.rebuilding import check_index, rebuild_index
from sre.backup.records import Fault, Verification
from sre.backup.render import backup_as_text, list_as_json, list_as_text
from sre.backup.settling import settle
from sre.core.errors import IntegrityError, UsageError
from sre.core.secrets import Secret
from tests.unit.backup.prunable import Shop, make_shop
from tests.unit.backup.setting import make_keys


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys") / "keys")


@pytest.fixture
def shop(tmp_path: Path, keys: Keys) -> Shop:
    return make_shop(tmp_path, keys)


def damage(shop: Shop, manifest: Manifest, *, level: int = 1, host: bool = False) -> None:
    fault = Fault(manifest.volumes[0].object, "bad", host=host)
    found = Verification(manifest.id, "orders", level, shop.clock.wall(), faults=(fault,))
    settle(catalogue(shop), shop.job.backups.keys, manifest.where, found)


def passes(shop: Shop, manifest: Manifest, level: int = 1) -> tuple[str, ...]:
    found = Verification(manifest.id, "orders", level, shop.clock.wall())
    return settle(catalogue(shop), shop.job.backups.keys, manifest.where, found)


def catalogue(shop: Shop) -> Any:
    return shop.job.catalogue(shop.job.declared("orders"))


def usable(shop: Shop) -> list[str]:
    return [each.id for each in catalogue(shop).usable("orders")]


def test_damage_is_passed_over_until_a_verification_as_deep(shop: Shop) -> None:
    one, two, three = (shop.add(day) for day in range(3))
    damage(shop, three, level=3)
    assert usable(shop) == [one.id, two.id]
    chosen = catalogue(shop).newest_good("orders")
    assert chosen.manifest.id == two.id
    assert "quarantined" in chosen.notes[0]
    assert three.id in chosen.notes[0]
    assert passes(shop, three, level=1) == ()
    assert usable(shop) == [one.id, two.id]
    assert passes(shop, three, level=3) == (f"{three.id} is no longer quarantined",)
    assert usable(shop) == [one.id, two.id, three.id]
    damage(shop, three)
    assert usable(shop) == [one.id, two.id], "a second time too"


def test_what_builds_on_damage_is_passed_over_too(shop: Shop) -> None:
    full = shop.add(0)
    diff = shop.add(1, kind="diff", parent=full.id)
    incr = shop.add(2, kind="incr", parent=diff.id)
    other = shop.add(0.5)
    damage(shop, full)
    assert usable(shop) == [other.id]
    why = catalogue(shop).standing("orders").unusable
    assert why[incr.id].startswith(f"it builds on {full.id}, quarantined")
    lost = shop.add(3, kind="incr", parent="20990101T000000Z-full-00000000")
    assert "is not there" in catalogue(shop).standing("orders").unusable[lost.id]
    passes(shop, incr)
    assert usable(shop) == [full.id, other.id, diff.id, incr.id], "the whole chain was read"


def test_a_list_marks_what_builds_on_damage(shop: Shop) -> None:
    full = shop.add(0)
    diff = shop.add(1, kind="diff", parent=full.id)
    incr = shop.add(2, kind="incr", parent=diff.id)
    other = shop.add(0.5)
    damage(shop, full)
    lost = shop.add(3, kind="incr", parent="20990101T000000Z-full-00000000")
    backups, _ = list_backups(shop.job)
    marks = {each.id: str(each.spoiled_by) for each in backups if each.spoiled_by}
    assert marks[diff.id] == marks[incr.id] == f"builds on quarantined {full.id}"
    assert marks.keys() == {diff.id, incr.id, lost.id}
    assert "missing" in marks[lost.id]
    assert f"builds on quarantined {full.id}" in list_as_text(backups, [])
    listed = json.loads(list_as_json(backups, []))["backups"]
    told = {each["id"]: each["spoiled_by"] for each in listed}
    assert told[incr.id] == {"id": full.id, "state": "quarantined"}
    assert told[full.id] is told[other.id] is None
    shown = show_backup(shop.job, incr.id)
    assert f"beware:      it builds on quarantined {full.id}" in backup_as_text(*shown)
    [plan] = plan_prune(shop.job)
    assert [each.id for each in plan.found.history.verified] == [other.id]
    passes(shop, incr)
    assert [each.id for each in list_backups(shop.job)[0] if each.spoiled_by] == [lost.id]


def test_all_bad_is_an_error_and_none_is_another(shop: Shop) -> None:
    with pytest.raises(UsageError, match="make one"):
        catalogue(shop).newest_good("orders")
    damage(shop, shop.add(0))
    with pytest.raises(IntegrityError, match=r"none of the 1 backups.*quarantined"):
        catalogue(shop).newest_good("orders")


def test_keys_of_this_host_are_no_damage(shop: Shop) -> None:
    one = shop.add(0)
    damage(shop, one, host=True)
    fault = Fault(one.where.manifest, "not signed by a key in keys.trusted")
    found = Verification(one.id, "orders", 0, 1.0, faults=(fault,))
    assert settle(catalogue(shop), shop.job.backups.keys, one.where, found) == ()
    assert usable(shop) == [one.id]


def test_only_a_trusted_signature_makes_a_mark(shop: Shop, tmp_path: Path) -> None:
    one, two = shop.add(0), shop.add(1)
    new_keys(tmp_path / "evil")
    evil = dataclasses.replace(
        shop.job.backups.keys, signing=Secret.from_file(tmp_path / "evil" / "signing")
    )
    trusted = shop.job.backups.keys.trusted
    assert quarantine(shop.store, evil, one.where, [Fault("x", "y")], at=1.0, level=1)
    assert condition_of(shop.store, trusted, one.where) is None
    damage(shop, two)
    shop.store.objects[one.where.mark("quarantine")] = shop.store.objects[
        two.where.mark("quarantine")
    ]
    shop.store.objects[one.where.mark("shredded")] = b"[" * 50_000
    assert list(conditions(shop.store, trusted)) == [two.id], "another backup's mark is no mark"
    assert not lift(shop.store, evil, one.where, at=2.0, level=3)
    without = dataclasses.replace(shop.job.backups.keys, signing=None)
    assert not quarantine(shop.store, without, one.where, [], at=1.0, level=1)


def test_a_backup_is_never_newer_than_the_store_says(shop: Shop) -> None:
    """A host whose clock is years ahead does not hide the good ones of later."""
    early = shop.add(3650)
    shop.store.stored = dict.fromkeys(shop.store.stored, 1_800_000_000.0)
    late = shop.add(1)
    for key in list(shop.store.stored):
        if late.id in key:
            shop.store.stored[key] = 1_800_086_400.0
    assert usable(shop) == [early.id, late.id]


def test_an_old_manifest_replayed_into_another_place_counts_for_nothing(shop: Shop) -> None:
    one, two = shop.add(0), shop.add(1)
    objects = shop.store.objects
    objects[two.where.manifest] = objects[one.where.manifest]
    objects[two.where.signature] = objects[one.where.signature]
    backups, faults = list_backups(shop.job)
    assert [each.id for each in backups] == [one.id]
    assert "put here" in faults[0].problem
    with pytest.raises(Damaged, match="put here"):
        catalogue(shop).manifest(two.where)
    assert catalogue(shop).newest_good("orders").manifest.id == one.id


HOSTILE = [
    b"", b"[]", b"null", b"{" * 100_000, b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe",
    b'{"schema": "sre.manifest/1", "schema": "sre.manifest/1"}', b'{"x": NaN}',
    b'{"x": ' + b"9" * 5000 + b"}", b'{"x": 1e999999}', b'{"volumes": "' + b"a" * 10**6 + b'"}',
    '{"id": "\u202e; rm -rf /\\u0000"}'.encode(),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_bytes_anywhere_stop_nobody(shop: Shop, number: int) -> None:
    one, two = shop.add(0), shop.add(1)
    data = HOSTILE[number]
    objects, place = shop.store.objects, two.where
    for name in ("hold", "expiring", "quarantine", "shredded"):
        objects[place.mark(name)] = data
    objects[f"v1/attest/{one.id}/20260101T000000.000000Z-3.json"] = data
    objects[f"v1/attest/{one.id}/20260101T000000.000000Z-3.json.sig"] = data
    objects[f"v1/keys/{one.id}.001.json"] = data
    backups, faults = list_backups(shop.job)
    assert ([each.id for each in backups], faults) == ([one.id, two.id], [])
    assert usable(shop) == [one.id, two.id]
    objects[place.manifest] = data
    backups, faults = list_backups(shop.job)
    assert [each.id for each in backups] == [one.id]
    assert [each.object for each in faults] == [place.manifest]


def index_file(shop: Shop) -> Path:
    [path] = (shop.job.state / "backup-index").rglob("*.sqlite")
    return path


def test_a_poisoned_index_is_never_believed(shop: Shop, tmp_path: Path) -> None:
    one, two = shop.add(0), shop.add(1)
    list_backups(shop.job)
    new_keys(tmp_path / "evil")
    forged = dataclasses.replace(two, source_bytes=1).encode()
    with sqlite3.connect(index_file(shop)) as database:
        database.execute("update signed set data = ? where key = ?", (forged, two.where.manifest))
        rows = database.execute(
            "select data, signature from signed where key = ?", (one.where.manifest,)
        ).fetchone()
        database.execute(
            "insert or replace into signed values (?, ?, ?, 'x')",
            (one.where.manifest.replace(one.id, one.id[:-1] + "0"), *rows),
        )
    database.close()
    found = check_index(shop.job)[0]
    assert found.foreign == (two.where.manifest,)
    assert (found.backups, found.held, len(found.stale)) == (2, 1, 1)
    backups, faults = list_backups(shop.job)
    assert [each.source_bytes for each in backups] == [100, 100]
    assert faults == []
    found = rebuild_index(shop.job)[0]
    assert (found.backups, found.verifications, found.held) == (2, 2, 2)
    assert check_index(shop.job)[0] == found


def test_what_was_replaced_in_the_store_is_read_again(shop: Shop) -> None:
    one = shop.add(0)
    assert list_backups(shop.job)[1] == []
    key = one.where.manifest
    shop.clock._now += 60
    shop.store.swap(
        key, shop.store.objects[key].replace(b"sre", b"srE"), shop.store.cell(key).version
    )
    assert [each.object for each in list_backups(shop.job)[1]] == [key]
    del shop.store.objects[key]
    assert list_backups(shop.job) == ([], [])


def test_a_damaged_entry_in_the_store_is_named_and_left_out(shop: Shop) -> None:
    one, two = shop.add(0), shop.add(1)
    shop.store.objects[one.where.signature] = bytes(64)
    found = rebuild_index(shop.job)[0]
    assert (found.backups, found.held) == (1, 1)
    assert [each.object for each in found.faults] == [one.where.manifest]
    assert usable(shop) == [two.id]


def test_many_may_use_the_index_at_once(shop: Shop) -> None:
    ids = [shop.add(day).id for day in range(5)]
    seen: list[list[str]] = []
    errors: list[BaseException] = []

    def work(turn: int) -> None:
        try:
            for _ in range(4):
                rebuild_index(shop.job) if turn % 2 else None
                seen.append([each.id for each in list_backups(shop.job)[0]])
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(turn,)) for turn in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert errors == []
    assert all(each == ids for each in seen)
    assert len(seen) == 24


@pytest.mark.parametrize("count", [500, pytest.param(5000, marks=pytest.mark.long)])
def test_a_list_of_thousands_comes_from_the_index(shop: Shop, count: int) -> None:
    """5 000 backups, each verified once, take 1.6 s of CPU; nothing is read again."""
    for number in range(count):
        shop.add(number / 100)
    list_backups(shop.job)
    gets: list[str] = []
    get = shop.store.get

    def counting(key: str, *more: Any) -> bytes:
        gets.append(key)
        return get(key, *more)

    shop.store.get = counting  # type: ignore[method-assign]
    began = time.process_time()
    backups, faults = list_backups(shop.job)
    took = time.process_time() - began
    assert (len(backups), faults, gets) == (count, [], [])
    assert all(each.verified for each in backups)
    assert took < 0.5 + count / 1500
