"""Do stores offer what retention needs: a clock, times, half uploads, locks that hold?"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sre.backup.layout import Place, new_id
from sre.backup.manifest import Manifest, Volume
from sre.backup.objects import Storage
from sre.backup.pruning.locking import extend_parents, objects_of
from sre.backup.storage import STORES
from sre.backup.storage.local import LocalStore
from sre.backup.storage.memory import MemoryStorage
from sre.backup.storage.s3_client import S3Storage
from sre.backup.upkeep import Guarded, LockState, ObjectLock, Pending
from sre.core.errors import Refused
from tests.servers.s3 import S3Server

DAY = 86400.0


@pytest.fixture(params=["memory", *STORES.names()])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "memory":
        return MemoryStorage()
    if request.param == "local":
        return LocalStore(tmp_path / "store").open()
    made: Storage = request.getfixturevalue("s3_store").open()
    return made


@pytest.fixture(scope="module")
def locked_bucket(s3_server: S3Server) -> str:
    """A bucket with versions and object lock."""
    name = "locked-contract"
    client = s3_server.client()
    with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou):
        client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


@pytest.fixture
def locked(s3_server: S3Server, locked_bucket: str) -> S3Storage:
    made = s3_server.store(locked_bucket).open()
    assert isinstance(made, S3Storage)
    return made


def test_objects_know_when_they_were_stored(storage: Storage) -> None:
    before = time.time()
    storage.put("a/b", b"x")
    now = storage.time()
    assert now is None or abs(now - before) < 60
    head = storage.head("a/b")
    assert head is not None
    for info in (head, *storage.list("a/")):
        assert info.modified is not None
        assert abs(info.modified - before) < 60


def test_a_store_without_locks_refuses_them(storage: Storage) -> None:
    storage.put("a", b"x")
    with pytest.raises(Refused, match="lock"):
        storage.locking(ObjectLock("GOVERNANCE", time.time() + DAY))
    with pytest.raises(Refused):
        storage.extend_lock("a", ObjectLock("GOVERNANCE", time.time() + DAY))
    assert storage.lock_of("a") == LockState()
    assert storage.lock_of("absent") == LockState()
    storage.delete("a")
    assert storage.head("a") is None


def test_half_uploads_are_seen_and_forgotten(storage: Storage) -> None:
    """The half of an upload that a kill -9 leaves; nothing of it is in a list."""
    leave_half(storage, "v1/db/half")
    leave_half(storage, "v1/dbx/half")
    [half] = storage.pending("v1/db/")
    assert half.size == 5 * 2**20
    assert abs(half.began - time.time()) < 60
    assert list(storage.list("v1/")) == []
    for _ in range(2):
        storage.abandon(half)
    assert list(storage.pending("v1/db/")) == []
    assert len(list(storage.pending("v1/dbx/"))) == 1


def leave_half(storage: Storage, key: str) -> None:
    data = os.urandom(5 * 2**20)
    if isinstance(storage, MemoryStorage):
        storage.unfinished[key] = Pending(key, key, storage.clock.wall(), len(data))
    elif isinstance(storage, S3Storage):
        at = storage.at(key)
        upload = storage.client.create_multipart_upload(**at)["UploadId"]
        storage.client.upload_part(**at, UploadId=upload, PartNumber=1, Body=data)
    else:
        root: Path = storage.root  # type: ignore[attr-defined]
        draft = (root / key).with_name(".draft-0123")
        draft.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(data)


@pytest.mark.parametrize("mode", ["GOVERNANCE", "COMPLIANCE"])
@pytest.mark.parametrize("size", [10, 11 * 2**20])
def test_what_is_locked_stays(locked: S3Storage, mode: str, size: int) -> None:
    until = time.time() + 30
    key = f"v1/{mode}-{size}"
    writer = locked.locking(ObjectLock(mode, until))  # type: ignore[arg-type]

    def pieces() -> Iterator[bytes]:
        yield bytes(size)

    writer.upload(key, pieces())
    writer.upload(key, pieces())  # a lost answer
    found = locked.lock_of(key)
    assert found.mode == mode
    assert found.until is not None
    assert until <= found.until <= until + 2
    assert found.protects(time.time())
    with pytest.raises(Guarded):
        locked.delete(key)
    assert locked.head(key) is not None
    assert [each.key for each in locked.list("v1/")] == [key]
    locked.extend_lock(key, ObjectLock(mode, until + DAY))  # type: ignore[arg-type]
    assert (locked.lock_of(key).until or 0) >= until + DAY


def test_a_legal_hold_keeps_too(locked: S3Storage) -> None:
    locked.put("held", b"x")
    hold = {"LegalHold": {"Status": "ON"}}
    locked.client.put_object_legal_hold(**locked.at("held"), **hold)
    assert locked.lock_of("held").protects(time.time())
    with pytest.raises(Guarded):
        locked.delete("held")


def test_without_a_lock_no_version_stays_behind(locked: S3Storage) -> None:
    """A plain DELETE would put a marker on top and free nothing."""
    locked.put("gone", b"x")
    locked.put("gone.sig", b"y")
    locked.client.put_object(**locked.at("gone"), Body=b"second version")
    locked.client.delete_object(**locked.at("gone"))  # somebody else's marker
    locked.put("gone", b"third")
    locked.delete("gone")
    locked.delete("gone")
    found = locked.client.list_object_versions(Bucket=locked.bucket, Prefix=locked.prefix)
    left = [*found.get("Versions", []), *found.get("DeleteMarkers", [])]
    assert [each["Key"] for each in left] == [f"{locked.prefix}gone.sig"]


def test_a_lock_that_ends_lets_go(locked: S3Storage) -> None:
    until = time.time() + 1
    locked.locking(ObjectLock("COMPLIANCE", until)).put("short", b"x")
    deadline = time.time() + 15
    while locked.lock_of("short").protects(time.time()):
        assert time.time() < deadline
        time.sleep(0.2)
    locked.delete("short")
    assert locked.head("short") is None


def test_a_full_stays_locked_as_long_as_what_builds_on_it(locked: S3Storage) -> None:
    """Its own lock would end first; then the increment could be kept and not restored."""
    now = time.time()
    full = stored(locked.locking(ObjectLock("COMPLIANCE", now + DAY)), "full", None)
    child = stored(locked.locking(ObjectLock("GOVERNANCE", now + 9 * DAY)), "incr", full.id)
    assert list(extend_parents(locked, child, [full])) == [full.id]
    for key in objects_of(full):
        found = locked.lock_of(key)
        assert found.mode == "COMPLIANCE"
        assert (found.until or 0) >= now + 9 * DAY
    assert list(extend_parents(locked, child, [full])) == []


def stored(storage: S3Storage, kind: str, parent: str | None) -> Manifest:
    """The objects of a backup, whose bytes do not matter."""
    place = Place("orders", "7-16", new_id(time.time(), kind, os.urandom(8)))
    manifest = Manifest(
        id=place.id, db="orders", engine="postgres", version="16.4", place="7-16", kind=kind,
        parent=parent, tier="gold", started=0.0, finished=0.0, consistent=0.0, source_bytes=1,
        stored_bytes=1, key=place.key, key_bytes=1, key_sha256="", recipients=(),
        volumes=(Volume(place.volume(0), 1, "", 1, ""),), dump={}, argv=(), tool="test",
    )  # fmt: skip
    for key in objects_of(manifest):
        storage.put(key, b"x")
    return manifest
