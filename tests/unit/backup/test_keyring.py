"""Can keys be rotated, revoked and shredded without losing a backup that should open?"""

from __future__ import annotations

import dataclasses
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre.backup.catalogue import Damaged
from sre.backup.job import Job
from sre.backup.keyring.bundle import export
from sre.backup.keyring.holding import (
    as_record,
    held_key,
    log_secret,
    of_log,
    of_manifest,
    recorded,
)
from sre.backup.keyring.names import original, parse_key, record, wrapped
from sre.backup.keyring.rewrap import rewrap
from sre.backup.keyring.shred import plan_shred, shred
from sre.backup.keyring.survey import openers, try_keys
from sre.backup.keys import new_backup_key, new_keys, wrap
from sre.backup.listing import list_backups, show_backup
from sre.backup.manifest import Manifest
from sre.backup.model import Keys
from sre.backup.opening import secret_of
from sre.backup.pruning.marks import hold
from sre.backup.pruning.prune import prune
from sre.backup.restoring.restore import restore_to
from sre.backup.runner import run_backup
from sre.backup.storage.memory import MemoryStorage
from sre.backup.tier import Keep, Tier
from sre.backup.upkeep import LockState
from sre.backup.verifying.verify import verify
from sre.core.errors import IntegrityError, Locked, Refused, UsageError
from sre.core.secrets import Secret
from tests.unit.backup.prunable import make_shop
from tests.unit.backup.setting import TarDatabase, make_job, make_keys, make_tar, shop_files


class Dying(MemoryStorage):
    """It dies at its n-th write."""

    left: int | None = None

    def _one(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt

    def put(self, key: str, data: bytes) -> None:
        if key.startswith("v1/keys/"):
            self._one()
        super().put(key, data)

    def delete(self, key: str) -> None:
        if key.startswith("v1/keys/"):
            self._one()
        super().delete(key)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys") / "old")


@pytest.fixture(scope="module")
def newer(keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """The same signing key; another identity."""
    folder = tmp_path_factory.mktemp("keys") / "new"
    made = new_keys(folder)
    identity = Secret.from_file(folder / "identity")
    return dataclasses.replace(keys, recipients=(made.recipient,), identity=identity)


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


def store(job: Job) -> Dying:
    found = job.storages["main"]
    assert isinstance(found, Dying)
    return found


def under(job: Job, keys: Keys) -> Job:
    return dataclasses.replace(job, backups=dataclasses.replace(job.backups, keys=keys))


def manifests(job: Job) -> list[Manifest]:
    found = list(job.catalogue(job.declared("orders")).listed(["orders"]))
    return [each for each in found if isinstance(each, Manifest)]


def opens(job: Job, keys: Keys) -> list[bool]:
    found = []
    for manifest in manifests(job):
        try:
            found.append(bool(secret_of(store(job), manifest, keys)))
        except Damaged:
            found.append(False)
    return found


def test_rewrap_lets_the_new_key_in_and_the_old_one_out(job: Job, keys: Keys, newer: Keys) -> None:
    both = dataclasses.replace(keys, recipients=(*keys.recipients, *newer.recipients))
    before = dict(store(job).objects)
    done, faults, _ = rewrap(under(job, both), dry_run=True)
    assert [each.state for each in done] == ["would", "would"]
    assert store(job).objects == before
    done, faults, _ = rewrap(under(job, both))
    assert [each.state for each in done] == ["done", "done"]
    assert faults == []
    assert {key: store(job).objects[key] for key in before} == before, "nothing is replaced"
    assert opens(job, keys) == opens(job, newer) == [True, True]
    assert {each.state for each in rewrap(under(job, both))[0]} == {"same"}
    only_new = dataclasses.replace(newer, identity=keys.identity)
    done, _, notes = rewrap(under(job, only_new), revoke=True)
    assert [len(each.deleted) for each in done] == [2, 2]
    assert any("none of keys.recipients" in each for each in notes)
    assert opens(job, keys) == [False, False]
    assert opens(job, newer) == [True, True]
    for level in (0, 1):
        assert verify(under(job, newer), "orders", level).passed
    assert {each.state for each in rewrap(under(job, newer), revoke=True)[0]} == {"same"}


def test_a_revoked_identity_is_named_and_quarantines_nothing(
    job: Job, keys: Keys, newer: Keys
) -> None:
    rewrap(under(job, dataclasses.replace(newer, identity=keys.identity)), revoke=True)
    found = verify(job, "orders", 1)
    assert found.exit_code == 7
    assert list(store(job).list("v1/attest/")) == [], "else retention takes it for a bad one"
    assert newer.recipients[0] in found.faults[0].problem
    assert keys.recipients[0] in found.faults[0].problem
    assert list(store(job).list("v1/marks/")) == []
    assert [each.quarantined for each in list_backups(job)[0]] == [None, None]


@pytest.mark.parametrize("revoke", [False, True])
def test_interrupted_anywhere_every_backup_opens(
    job: Job, keys: Keys, newer: Keys, revoke: bool
) -> None:
    both = dataclasses.replace(keys, recipients=(*keys.recipients, *newer.recipients))
    for writes in range(20):
        store(job).left = writes
        try:
            rewrap(under(job, both), revoke=revoke)
        except KeyboardInterrupt:
            store(job).left = None
            assert opens(job, keys) == [True, True], writes
        else:
            break
    assert writes >= 3
    store(job).left = None
    assert opens(job, newer) == [True, True]
    assert verify(job, "orders", 1).passed


def test_a_forged_or_replayed_record_counts_for_nothing(job: Job, keys: Keys, newer: Keys) -> None:
    both = dataclasses.replace(keys, recipients=(*keys.recipients, *newer.recipients))
    rewrap(under(job, both))
    one, other = manifests(job)
    objects = store(job).objects
    evil = wrap(new_backup_key()[0], [keys.recipients[0]])
    objects[wrapped(one.id, 9)] = evil
    forged = dataclasses.replace(of_manifest(one), number=9)
    objects[record(one.id, 9)] = as_record(forged, make_stranger(keys), 1.0)
    objects[record(one.id, 8)] = objects[record(one.id, 1)]
    objects[record(one.id, 7)] = objects[record(other.id, 1)]
    objects[record(one.id, 6)] = b"[" * 100_000
    objects[record(one.id, 5)] = b'{"schema": "sre.signed/1", "schema": NaN}'
    held = held_key(store(job), keys.trusted, of_manifest(one))
    assert [each.number for each in held.forms] == [1, 0]
    assert len(held.strays) == 5
    assert held.last == 9
    assert opens(job, keys) == [True, True]
    assert [len(each.faults) for each in openers(job)] == [5]
    objects[wrapped(one.id, 1)] = objects[wrapped(other.id, 1)]
    assert opens(job, keys) == [True, True], "an older genuine form still opens"
    objects[original(one.id)] = objects[original(other.id)]
    with pytest.raises(Damaged, match=r"001\.age: its SHA-256"):
        secret_of(store(job), one, keys)


def make_stranger(keys: Keys) -> Keys:
    text = "SRE-ED25519-SECRET-" + "A" * 43 + "="
    return dataclasses.replace(keys, signing=Secret.literal(text))


def test_rewrap_without_the_identity_changes_nothing(job: Job, newer: Keys) -> None:
    before = dict(store(job).objects)
    done, _, _ = rewrap(under(job, newer))
    assert {each.state for each in done} == {"failed"}
    assert {k for k in store(job).objects if k.startswith("v1/keys/")} == {
        k for k in before if k.startswith("v1/keys/")
    }


def test_a_log_key_is_rewrapped_too(job: Job, keys: Keys, newer: Keys) -> None:
    secret, _ = new_backup_key()
    stem = "log-20261122T101112Z-abc"
    store(job).put(original(stem), wrap(secret, keys.recipients))
    assert log_secret(store(job), keys, stem) == secret
    done, _, _ = rewrap(under(job, dataclasses.replace(newer, identity=keys.identity)))
    assert len(done) == 3
    assert log_secret(store(job), newer, stem) == secret
    held = held_key(store(job), keys.trusted, of_log(stem))
    assert [each.number for each in held.forms] == [1, 0]


def test_a_locked_older_form_is_said(job: Job, keys: Keys, newer: Keys) -> None:
    for manifest in manifests(job):
        store(job).locks[manifest.key] = LockState(job.clock.wall() + 9e5, "COMPLIANCE")
    done, _, _ = rewrap(under(job, dataclasses.replace(newer, identity=keys.identity)), revoke=True)
    assert all(each.kept and "locked (COMPLIANCE) until" in each.why for each in done)
    assert opens(job, newer) == [True, True]


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


def test_copies_elsewhere_are_named_or_shredded_too(
    job: Job, keys: Keys, taken: dict[str, bytes]
) -> None:
    away = Dying()
    away.objects = dict(taken)
    declared = dataclasses.replace(job.declared("orders"), tier=Tier(copies=("away",)))
    stores = {**job.backups.stores, "away": job.backups.stores["main"]}
    backups = dataclasses.replace(job.backups, stores=stores, databases={"orders": declared})
    job = dataclasses.replace(job, backups=backups, storages={**job.storages, "away": away})
    one, other = manifests(job)
    assert shred(job, [one.id], reason="x").elsewhere == {"away": (one.id,)}
    done = shred(job, [one.id, other.id], reason="x", everywhere=True)
    assert done.done == {"main": (one.id, other.id), "away": (one.id, other.id)}
    assert [key for key in away.objects if "/keys/" in key] == []


def test_the_bundle_opens_by_hand(job: Job, keys: Keys, tmp_path: Path) -> None:
    one = manifests(job)[0]
    made = export(job, one.id, tmp_path / "bundle.tar")
    assert made.recipients == keys.recipients
    assert (tmp_path / "bundle.tar").stat().st_mode & 0o777 == 0o600
    with tarfile.open(tmp_path / "bundle.tar") as tar:
        member = tar.extractfile(f"keys/{one.id}.age")
        assert member is not None
        assert member.read() == store(job).objects[one.key]
    with pytest.raises(Refused, match="not overwritten"):
        export(job, one.id, tmp_path / "bundle.tar")
    with pytest.raises(UsageError, match="cannot write"):
        export(job, one.id, tmp_path / "no" / "bundle.tar")
    store(job).objects[one.key] += b"x"
    with pytest.raises(IntegrityError, match="changed"):
        export(job, one.id, tmp_path / "other.tar")
    assert not (tmp_path / "other.tar").exists()


def test_check_opens_for_real(job: Job, keys: Keys, newer: Keys) -> None:
    assert len(try_keys(job, keys).opened) == 2
    assert len(try_keys(job, keys, newest=1).opened) == 1
    found = try_keys(job, newer)
    assert found.opened == ()
    assert newer.recipients[0] in found.closed[0].problem


def test_a_rotated_signing_key_is_believed_while_both_are_trusted(
    job: Job, keys: Keys, tmp_path: Path
) -> None:
    made = new_keys(tmp_path / "next")
    signing = Secret.from_file(tmp_path / "next" / "signing")
    both = dataclasses.replace(keys, signing=signing, trusted=(*keys.trusted, made.trusted))
    assert verify(under(job, both), "orders", 1).passed
    assert len(list_backups(under(job, both))[0]) == 2
    before = list(store(job).list("v1/attest/"))
    alone = dataclasses.replace(both, trusted=(made.trusted,))
    backups, faults = list_backups(under(job, alone))
    assert (len(backups), len(faults)) == (0, 2)
    assert verify(under(job, alone), "orders", 1).exit_code == 7
    assert list(store(job).list("v1/marks/")) == [], "this host's keys are no damage"
    assert list(store(job).list("v1/attest/")) == before, "and no verdict either"


NAMES: list[Callable[[str], str]] = [original, lambda s: wrapped(s, 3), lambda s: record(s, 12)]


@given(st.sampled_from(NAMES), st.text(max_size=30))
def test_names_of_keys_are_read_as_they_are_written(make: Callable[[str], str], text: str) -> None:
    stem = "20261122T101112Z-full-0123abcd"
    name = parse_key(make(stem))
    assert name is not None
    assert name.stem == stem
    assert parse_key(make(text)) is None or text.startswith("log-")


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_no_record_of_any_shape_is_believed_unsigned(content: object) -> None:
    data = json.dumps({"schema": "sre.signed/1", "record": content, "signature": "00"}).encode()
    assert recorded(data, ("ed25519:" + "A" * 43 + "=",), "x", 1) is None


def test_restore_goes_back_to_the_newest_good_one_and_says_so(job: Job, tmp_path: Path) -> None:
    older, newest = manifests(job)
    shred(job, [newest.id], reason="asked")
    done = restore_to(job, "orders", tmp_path / "one")
    assert done.id == older.id
    assert any(newest.id in each and "shredded" in each for each in done.notes)
    volume = older.volumes[0].object
    store(job).objects[volume] = store(job).objects[volume][:-1] + b"x"
    assert verify(job, older.id, 1).exit_code == 7
    with pytest.raises(IntegrityError, match=r"none of the 2 backups.*by its id"):
        restore_to(job, "orders", tmp_path / "two")
    with pytest.raises(Damaged, match="v000000"):
        restore_to(job, older.id, tmp_path / "two")
    assert not (tmp_path / "two").exists()
