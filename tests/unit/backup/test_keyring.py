"""Can keys be rotated and revoked without losing a backup that should open?"""

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
from sre.backup.keyring.shred import shred
from sre.backup.keyring.survey import openers, try_keys
from sre.backup.keys import new_backup_key, new_keys, wrap
from sre.backup.listing import list_backups
from sre.backup.model import Keys, Tier
from sre.backup.opening import secret_of
from sre.backup.restoring.restore import restore_to
from sre.backup.runner import run_backup
from sre.backup.storage.memory import MemoryStorage
from sre.backup.upkeep import LockState
from sre.backup.verifying.verify import verify
from sre.core.errors import IntegrityError, Refused, UsageError
from sre.core.secrets import Secret
from tests.unit.backup.keyed import Dying, manifests, opens, store, under
from tests.unit.backup.setting import TarDatabase, make_job, make_keys, make_tar, shop_files


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


def test_copies_that_a_revocation_leaves_open_are_named(job: Job, newer: Keys, keys: Keys) -> None:
    declared = dataclasses.replace(job.declared("orders"), tier=Tier(copies=("away",)))
    backups = dataclasses.replace(job.backups, databases={"orders": declared})
    job = under(
        dataclasses.replace(job, backups=backups),
        dataclasses.replace(newer, identity=keys.identity),
    )
    assert not any("away" in each for each in rewrap(job)[2])
    assert any("away" in each and "--everywhere" in each for each in rewrap(job, revoke=True)[2])


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
