"""What happens when the dump, the encryption or the store fails while a backup is on its way?"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import pytest
from blake3 import blake3

from sre.backup.job import Job
from sre.backup.listing import list_backups
from sre.backup.metrics import exposition, samples
from sre.backup.model import Keys
from sre.backup.runner import run_backup
from sre.backup.storage.memory import MemoryStorage
from sre.backup.verifying.verify import verify
from sre.core.errors import CheckFailed, IntegrityError, Locked, SreError, Transient, UsageError
from tests.unit.backup.setting import TarDatabase, make_job, make_keys, make_tar, shop_files


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys") / "keys")


def the_tar(tmp_path: Path) -> Path:
    return make_tar(tmp_path / "db.tar", shop_files())


def a_job(tmp_path: Path, keys: Keys, database: TarDatabase, storage: MemoryStorage) -> Job:
    return make_job(tmp_path / "state", keys, database, storage=storage)


def assert_nothing_committed(job: Job, storage: MemoryStorage) -> None:
    assert list_backups(job) == ([], [])
    assert not any(key.endswith("manifest.json") for key in storage.objects)


def test_volumes_are_what_the_tar_is(tmp_path: Path, keys: Keys) -> None:
    tar, storage = the_tar(tmp_path), MemoryStorage()
    job = a_job(tmp_path, keys, TarDatabase(tar), storage)
    seen: list[int] = []
    manifest = run_backup(job, "orders", progress=lambda _source: seen.append)
    data = tar.read_bytes()
    assert manifest.source_bytes == len(data) == sum(seen)
    assert len(manifest.volumes) == -(-len(data) // 2**20)
    at = 0
    for volume in manifest.volumes:
        piece = data[at : at + volume.plain_bytes]
        assert blake3(piece).hexdigest() == volume.plain_blake3
        assert hashlib.sha256(storage.objects[volume.object]).hexdigest() == volume.sha256
        assert len(storage.objects[volume.object]) == volume.bytes
        at += volume.plain_bytes
    assert at == len(data)


@pytest.mark.parametrize("size", [0, 1, 2**20 - 10240, 2**20, 5 * 2**20 + 511])
def test_tars_of_any_size(tmp_path: Path, keys: Keys, size: int) -> None:
    files = {"PG_VERSION": b"16\n", "data": b"x" * size, "backup_manifest": b"{}"}
    tar = make_tar(tmp_path / "db.tar", files)
    job = a_job(tmp_path, keys, TarDatabase(tar), MemoryStorage())
    run_backup(job, "orders")
    assert verify(job, "orders", 1).passed


@pytest.mark.parametrize(
    ("then", "words"),
    [
        ("exit 3", "exit code 3"),
        ("kill -9 $$", "signal 9"),
        ("kill -TERM $$", "signal 15"),
        ("echo 'it broke' >&2; exit 1", "it broke"),
    ],
)
def test_a_dump_that_fails_at_its_very_end(
    tmp_path: Path, keys: Keys, then: str, words: str
) -> None:
    """All bytes came, all volumes are stored: the exit code decides."""
    storage = MemoryStorage()
    job = a_job(tmp_path, keys, TarDatabase(the_tar(tmp_path), then), storage)
    with pytest.raises(CheckFailed, match=words):
        run_backup(job, "orders")
    assert_nothing_committed(job, storage)


def test_a_dump_that_gives_way_may_be_tried_again(tmp_path: Path, keys: Keys) -> None:
    storage = MemoryStorage()
    then = "echo 'others waited' >&2; exit 75"
    job = a_job(tmp_path, keys, TarDatabase(the_tar(tmp_path), then), storage)
    with pytest.raises(Transient, match="nothing was committed: others waited"):
        run_backup(job, "orders")
    assert_nothing_committed(job, storage)


@pytest.mark.parametrize("cut", [0, 1, 511, 512, 1024 + 7, 2**20, -512, -1024, -10240, -10752])
def test_a_dump_that_ends_early_with_0(tmp_path: Path, keys: Keys, cut: int) -> None:
    tar = the_tar(tmp_path)
    data = tar.read_bytes()
    tar.write_bytes(data[:cut] if cut >= 0 else data[: len(data.rstrip(b"\0")) + cut // 512])
    storage = MemoryStorage()
    job = a_job(tmp_path, keys, TarDatabase(tar), storage)
    with pytest.raises(CheckFailed, match="too early"):
        run_backup(job, "orders")
    assert_nothing_committed(job, storage)


def test_a_tar_without_the_last_member(tmp_path: Path, keys: Keys) -> None:
    files = shop_files()
    del files["backup_manifest"]
    storage = MemoryStorage()
    job = a_job(tmp_path, keys, TarDatabase(make_tar(tmp_path / "t", files)), storage)
    with pytest.raises(CheckFailed, match="backup_manifest"):
        run_backup(job, "orders")
    assert_nothing_committed(job, storage)


def test_what_is_no_tar(tmp_path: Path, keys: Keys) -> None:
    (tmp_path / "t").write_bytes(b"pg_basebackup: some words\n" * 10000)
    storage = MemoryStorage()
    with pytest.raises(CheckFailed):
        run_backup(a_job(tmp_path, keys, TarDatabase(tmp_path / "t"), storage), "orders")


class Failing(MemoryStorage):
    """Gives up at the first key that ends so."""

    def __init__(self, ending: str, error: Exception) -> None:
        super().__init__()
        self.ending, self.error = ending, error

    def put(self, key: str, data: bytes) -> None:
        if key.endswith(self.ending):
            raise self.error
        super().put(key, data)

    def upload(self, key: str, chunks: Iterable[bytes]) -> int:
        if key.endswith(self.ending):
            next(iter(chunks))
            raise self.error
        return super().upload(key, chunks)


@pytest.mark.parametrize(
    "ending", ["repo.json", "v000000.zst.age", "v000002.zst.age", ".age", ".sig", "manifest.json"]
)
def test_a_store_that_gives_up(tmp_path: Path, keys: Keys, ending: str) -> None:
    storage = Failing(ending, Transient("the store is down"))
    job = a_job(tmp_path, keys, TarDatabase(the_tar(tmp_path)), storage)
    with pytest.raises(Transient, match="the store is down"):
        run_backup(job, "orders")
    assert_nothing_committed(job, storage)
    storage.ending = "nothing"
    run_backup(job, "orders")
    assert verify(job, "orders", 1).passed
    assert len(list_backups(job)[0]) == 1


def test_a_store_that_dies_of_a_bug(tmp_path: Path, keys: Keys) -> None:
    storage = Failing("v000001.zst.age", ZeroDivisionError("bug"))
    with pytest.raises(ZeroDivisionError):
        run_backup(a_job(tmp_path, keys, TarDatabase(the_tar(tmp_path)), storage), "orders")


def test_one_run_at_a_time(tmp_path: Path, keys: Keys) -> None:
    job = a_job(tmp_path, keys, TarDatabase(the_tar(tmp_path)), MemoryStorage())
    with job.lock("run", "orders"), pytest.raises(Locked):
        run_backup(job, "orders")


@pytest.mark.parametrize("without", ["recipients", "signing", "trusted"])
def test_keys_are_looked_at_before_any_work(tmp_path: Path, keys: Keys, without: str) -> None:
    fields = {
        "recipients": keys.recipients, "signing": keys.signing, "trusted": keys.trusted,
    }  # fmt: skip
    fields[without] = {
        "recipients": (), "signing": None, "trusted": ("ed25519:" + "A" * 43 + "=",),
    }[without]  # fmt: skip
    storage = MemoryStorage()
    some = Keys(**fields)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=f"keys.{without}"):
        run_backup(a_job(tmp_path, some, TarDatabase(the_tar(tmp_path)), storage), "orders")
    assert storage.objects == {}


def test_a_repository_of_another_format_is_left_alone(tmp_path: Path, keys: Keys) -> None:
    storage = MemoryStorage()
    storage.objects["v1/repo.json"] = b'{"schema":"sre.repo/9"}'
    with pytest.raises(UsageError, match=r"sre\.repo/9"):
        run_backup(a_job(tmp_path, keys, TarDatabase(the_tar(tmp_path)), storage), "orders")
    assert len(storage.objects) == 1


def test_facts_and_metrics_tell_success_and_failure_apart(tmp_path: Path, keys: Keys) -> None:
    storage = Failing("manifest.json", Transient("down"))
    job = a_job(tmp_path, keys, TarDatabase(the_tar(tmp_path)), storage)
    with pytest.raises(SreError):
        run_backup(job, "orders")
    found = {(name, *labels.values()): value for name, labels, value in samples(job.facts)}
    assert found["sre_backup_last_exit_code", "orders"] == 4
    assert ("sre_backup_last_success_timestamp_seconds", "orders") not in found
    storage.ending = "nothing"
    manifest = run_backup(job, "orders")
    verify(job, "orders", 1)
    storage.ending = "v000000.zst.age"
    with pytest.raises(SreError):
        run_backup(job, "orders")
    found = {(name, *labels.values()): value for name, labels, value in samples(job.facts)}
    assert found["sre_backup_last_exit_code", "orders"] == 4
    assert found["sre_backup_last_success_timestamp_seconds", "orders"] == manifest.finished
    assert found["sre_backup_verified_last_result", "orders", "1"] == 1
    text = exposition(samples(job.facts))
    assert f'sre_backup_source_bytes{{db="orders"}} {float(manifest.source_bytes)}' in text
    assert "# TYPE sre_backup_source_bytes gauge" in text


def test_nothing_of_an_attempt_that_broke_is_ever_opened(tmp_path: Path, keys: Keys) -> None:
    """Volumes without a manifest: their key is gone with the process that made it."""
    storage = Failing(".sig", Transient("down"))
    job = a_job(tmp_path, keys, TarDatabase(the_tar(tmp_path)), storage)
    with pytest.raises(Transient):
        run_backup(job, "orders")
    with pytest.raises((UsageError, IntegrityError)):
        verify(job, "orders", 1)
