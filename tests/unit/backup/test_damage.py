"""Is every kind of damage and forgery found, named, and kept away from the target?"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sre.backup.catalogue import Damaged
from sre.backup.job import Job
from sre.backup.keys import new_keys
from sre.backup.layout import REPO
from sre.backup.listing import list_backups
from sre.backup.manifest import Manifest
from sre.backup.model import Keys
from sre.backup.restoring.restore import restore_to
from sre.backup.runner import run_backup
from sre.backup.storage.memory import MemoryStorage
from sre.backup.verifying.verify import verify
from sre.core.errors import IntegrityError, UsageError
from sre.core.secrets import Secret
from tests.unit.backup.paged import PagedDatabase
from tests.unit.backup.setting import TarDatabase, make_job, make_keys, make_tar, shop_files

Edit = Callable[[bytes], bytes]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys") / "keys")


@pytest.fixture(scope="module")
def taken(
    keys: Keys, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Manifest, dict[str, bytes]]:
    """A good backup and the store as it was then."""
    folder = tmp_path_factory.mktemp("taken")
    storage = MemoryStorage()
    tar = make_tar(folder / "db.tar", shop_files())
    job = make_job(folder, keys, TarDatabase(tar), storage=storage)
    return run_backup(job, "orders"), dict(storage.objects)


@pytest.fixture
def job(taken: tuple[Manifest, dict[str, bytes]], keys: Keys, tmp_path: Path) -> Job:
    """A job over a copy of that store."""
    storage = MemoryStorage()
    storage.objects = dict(taken[1])
    return make_job(tmp_path, keys, TarDatabase(tmp_path / "none"), storage=storage)


def objects(job: Job) -> dict[str, bytes]:
    storage = job.storages["main"]
    assert isinstance(storage, MemoryStorage)
    return storage.objects


def flip(at: float) -> Edit:
    def edit(data: bytes) -> bytes:
        place = min(int(len(data) * at), len(data) - 1)
        return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]

    return edit


EDITS: dict[str, Edit] = {
    "first byte": flip(0.0),
    "middle byte": flip(0.5),
    "last byte": flip(1.0),
    "cut": lambda data: data[:-1],
    "cut to a chunk": lambda data: data[: len(data) // 2],
    "appended": lambda data: data + b"\0",
    "empty": lambda data: b"",
}


def names(taken: dict[str, bytes]) -> Iterator[str]:
    return (key for key in taken if key != REPO)


def test_a_good_backup_passes_and_restores(job: Job, tmp_path: Path) -> None:
    for level in (0, 1):
        found = verify(job, "orders", level)
        assert found.passed, found
        assert found.exit_code == 0
    done = restore_to(job, "orders", tmp_path / "out")
    for name, data in shop_files().items():
        assert (tmp_path / "out" / name).read_bytes() == data
    assert (
        done.bytes == job.find("orders").catalogue.manifest(job.find("orders").place).source_bytes
    )


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("which", ["volume 0", "volume 1", "last volume", "key", "manifest", "sig"])
def test_any_change_is_found_and_named(job: Job, tmp_path: Path, which: str, edit: str) -> None:
    place = job.find("orders").place
    volumes = sorted(key for key in objects(job) if key.startswith(place.volume(0)[:-15]))
    volumes = [key for key in volumes if key.endswith(".zst.age")]
    key = {
        "volume 0": volumes[0],
        "volume 1": volumes[1],
        "last volume": volumes[-1],
        "key": place.key,
        "manifest": place.manifest,
        "sig": place.signature,
    }[which]
    objects(job)[key] = EDITS[edit](objects(job)[key])
    found = verify(job, "orders", 1)
    assert found.exit_code == 7
    assert any(key in f"{fault.object} {fault.problem}" for fault in found.faults), found.faults
    with pytest.raises(IntegrityError, match=key.rpartition("/")[2]):
        restore_to(job, "orders", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert [path.name for path in tmp_path.iterdir() if "restoring" in path.name] == []


def test_every_missing_object_is_named(job: Job, tmp_path: Path) -> None:
    place = job.find("orders").place
    parts = [key for key in objects(job) if key.startswith((place.folder, "v1/keys/"))]
    for key in [key for key in parts if key != place.manifest]:
        data = objects(job).pop(key)
        for level in (0, 1):
            found = verify(job, "orders", level)
            assert found.exit_code == 7
            assert [fault.object for fault in found.faults] == [key]
        with pytest.raises(IntegrityError, match="missing"):
            restore_to(job, "orders", tmp_path / "out")
        objects(job)[key] = data
    assert not (tmp_path / "out").exists()


def test_without_a_manifest_there_is_no_backup(job: Job) -> None:
    del objects(job)[job.find("orders").place.manifest]
    assert list_backups(job) == ([], [])
    with pytest.raises(UsageError, match="no backup"):
        verify(job, "orders", 0)


def test_swapped_volumes_are_found(job: Job, tmp_path: Path) -> None:
    """Both open with the same key, and have the same size."""
    place = job.find("orders").place
    one, other = place.volume(0), place.volume(1)
    objects(job)[one], objects(job)[other] = objects(job)[other], objects(job)[one]
    found = verify(job, "orders", 1)
    assert {fault.object for fault in found.faults} == {one, other}
    with pytest.raises(Damaged, match="v000000"):
        restore_to(job, "orders", tmp_path / "out")


def test_a_large_volume_that_is_anothers_is_named_though_it_cannot_be_unpacked_to_its_end(
    keys: Keys, tmp_path: Path
) -> None:
    """Whoever unpacks ends at its first bytes, long before all of it was sent."""
    size, noise = 24 * 2**20, random.Random(7)
    files = {f"base/1/{k}": noise.randbytes(size + 2**20 - 512) for k in range(5)}  # at k MiB of k
    files["backup_manifest"] = b"{}\n"
    database = PagedDatabase(make_tar(tmp_path / "db.tar", files))
    job = make_job(tmp_path, keys, database, storage=MemoryStorage(), volume=size)
    made = run_backup(job, "orders")
    assert made.sidecar is not None
    one, other = next(  # lengths differ by a byte or two
        pair for pair in combinations(made.volumes[:-1], 2) if pair[0].bytes == pair[1].bytes
    )
    kept = objects(job)
    kept[one.object], kept[other.object] = kept[other.object], kept[one.object]
    assert [each.object for each in verify(job, "orders", 2).faults] == [one.object]
    with pytest.raises(Damaged, match=one.object.rpartition("/")[2]):
        restore_to(job, "orders", tmp_path / "out")


def test_several_bad_volumes_are_all_named(job: Job) -> None:
    place = job.find("orders").place
    bad = [place.volume(0), place.volume(2)]
    for key in bad:
        objects(job)[key] = flip(0.5)(objects(job)[key])
    assert [fault.object for fault in verify(job, "orders", 1).faults] == bad


def test_a_manifest_by_a_stranger_is_not_believed(job: Job, tmp_path: Path) -> None:
    """Whoever may write to the bucket can encrypt to the public key, but not sign."""
    place = job.find("orders").place
    content = json.loads(objects(job)[place.manifest])
    content["source_bytes"] += 1
    data = json.dumps(content).encode()
    objects(job)[place.manifest] = data
    objects(job)[place.signature] = Ed25519PrivateKey.generate().sign(data)
    found = verify(job, "orders", 0)
    assert (found.exit_code, found.faults[0].object) == (7, place.manifest)
    backups, faults = list_backups(job)
    assert not backups
    assert faults[0].object == place.manifest
    with pytest.raises(IntegrityError, match=r"keys\.trusted"):
        restore_to(job, "orders", tmp_path / "out")


def test_a_genuine_manifest_elsewhere_is_not_believed(job: Job) -> None:
    """A replay: an old backup's manifest under a new id."""
    place = job.find("orders").place
    newer = place.__class__(place.db, place.system, "29991231T235959Z-full-00000000")
    for old, new in ((place.manifest, newer.manifest), (place.signature, newer.signature)):
        objects(job)[new] = objects(job)[old]
    found = verify(job, "orders", 0)
    assert found.id == newer.id
    assert found.exit_code == 7
    assert place.id in found.faults[0].problem


def test_nobody_trusted_believes_nothing(job: Job, keys: Keys) -> None:
    strangers = Keys(keys.recipients, keys.signing, (), keys.identity)
    job.backups.__dict__["keys"] = strangers
    with pytest.raises(UsageError, match=r"keys\.trusted"):
        verify(job, "orders", 0)


@pytest.mark.parametrize("identity", ["none", "another", "garbage", "empty"])
def test_without_the_right_identity(job: Job, keys: Keys, tmp_path: Path, identity: str) -> None:
    """Level 0 needs none; above it the key is named, and nothing is written."""
    secret: Secret | None = None
    if identity != "none":
        new_keys(tmp_path / "other")
        text = (tmp_path / "other" / "identity").read_text()
        secret = Secret.literal(
            {"another": text, "garbage": "this-is-no-identity", "empty": "# nothing"}[identity]
        )
    job.backups.__dict__["keys"] = Keys(keys.recipients, keys.signing, keys.trusted, secret)
    assert verify(job, "orders", 0).passed
    for level in (1, 3):
        found = verify(job, "orders", level)
        assert found.exit_code == 7
        assert found.faults[0].object == job.find("orders").place.key
        assert "keys.identity" in found.faults[0].problem
    with pytest.raises(IntegrityError, match=r"keys\.identity"):
        restore_to(job, "orders", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_bad_download_is_tried_once_more(job: Job) -> None:
    """One flipped bit on the way must not cry wolf."""
    storage = job.storages["main"]
    victim = job.find("orders").place.volume(1)
    stream, first = storage.stream, [True]

    def once_bad(key: str) -> Iterator[bytes]:
        for piece in stream(key):
            bad = key == victim and first
            yield flip(0.5)(piece) if bad else piece
            if bad:
                first.clear()

    storage.stream = once_bad  # type: ignore[method-assign]
    assert verify(job, "orders", 1).passed
    assert not first


def test_the_index_is_a_cache_and_no_more(job: Job, tmp_path: Path) -> None:
    assert len(list_backups(job)[0]) == 1
    entries = list((tmp_path / "backup-index").rglob("*.sqlite"))
    assert len(entries) == 1
    for content in (
        b"garbage" * 1000,
        b"",
        b"SQLite format 3\0",
        entries[0].read_bytes()[:-1],
        None,
    ):
        if content is None:
            entries[0].unlink(missing_ok=True)
        else:
            entries[0].write_bytes(content)
        assert len(list_backups(job)[0]) == 1
    del objects(job)[job.find("orders").place.manifest]
    assert list_backups(job) == ([], [])


def test_a_verification_is_believed_only_when_signed(job: Job) -> None:
    verify(job, "orders", 1)
    assert list_backups(job)[0][0].verified is not None
    for key in [key for key in objects(job) if key.startswith("v1/attest/")]:
        if key.endswith(".sig"):
            job.storages["main"].swap(key, bytes(64), job.storages["main"].cell(key).version)
    assert list_backups(job)[0][0].verified is None


def test_a_failed_verification_takes_the_status_away(job: Job) -> None:
    assert verify(job, "orders", 1).passed
    place = job.find("orders").place
    objects(job)[place.volume(0)] = flip(0.5)(objects(job)[place.volume(0)])
    assert not verify(job, "orders", 1).passed
    assert list_backups(job)[0][0].verified is None
