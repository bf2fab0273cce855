"""Does a volume that claims or becomes far more than it is leave memory alone?"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pyrage
import pytest
import zstandard

from sre.backup.job import Job
from sre.backup.keys import sign
from sre.backup.manifest import Manifest
from sre.backup.opening import Sealed, open_volumes, secret_of
from sre.backup.runner import run_backup
from sre.backup.storage.memory import MemoryStorage
from tests.unit.backup.setting import TarDatabase, make_job, make_keys, make_tar, shop_files

GIB = 2**30


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    folder = tmp_path_factory.mktemp("bombs")
    tar = make_tar(folder / "db.tar", shop_files(2**16))
    storage = MemoryStorage()
    job = make_job(folder, make_keys(folder / "keys"), TarDatabase(tar), storage=storage)
    run_backup(job, "orders")
    return job


def zeros(size: int, window_log: int) -> bytes:
    """A frame that asks for that window and holds that many zeros."""
    parameters = zstandard.ZstdCompressionParameters(
        window_log=window_log, hash_log=10, chain_log=10, strategy=zstandard.STRATEGY_FAST
    )
    squeeze = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    block = bytes(2**22)
    parts = [squeeze.compress(block) for _ in range(size // len(block))]
    return b"".join([*parts, squeeze.flush()])


def with_volume(job: Job, frame: bytes, folder: Path) -> tuple[Sealed, Manifest]:
    """A signed backup whose only volume is that frame: whoever has all keys could make it."""
    manifest = job.catalogue(job.declared("orders")).newest_good("orders").manifest
    secret = secret_of(job.storages["main"], manifest, job.backups.keys)
    public = pyrage.x25519.Identity.from_str(secret).to_public()
    data = bytes(pyrage.encrypt(frame, [public]))
    storage = MemoryStorage()
    volume = dataclasses.replace(
        manifest.volumes[0], bytes=len(data), sha256=hashlib.sha256(data).hexdigest()
    )
    storage.put(volume.object, data)
    made = dataclasses.replace(manifest, volumes=(volume,))
    assert sign(made.encode(), job.backups.keys.signing)
    return Sealed(storage, made, secret), made


@dataclasses.dataclass
class Peak:
    """The most memory that a program which opens volumes has had, in bytes."""

    bytes: int = 0


@contextlib.contextmanager
def watched() -> Iterator[Peak]:
    """Look at our own children all the while; the kernel keeps the highest mark of each."""
    peak, ended, us = Peak(), threading.Event(), psutil.Process()

    def look() -> None:
        while not ended.wait(0.002):
            for child in us.children():
                with contextlib.suppress(OSError, psutil.Error):
                    if "sre.backup.unseal" in child.cmdline():
                        told = Path(f"/proc/{child.pid}/status").read_text()
                        mark = re.search(r"VmHWM:\s+(\d+) kB", told)
                        peak.bytes = max(peak.bytes, int(mark[1]) * 1024 if mark else 0)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        ended.set()
        watcher.join()


def test_a_window_that_asks_for_memory_is_refused(job: Job, tmp_path: Path) -> None:
    sealed, made = with_volume(job, zeros(2**28, 28), tmp_path)
    with watched() as peak:
        [fault] = open_volumes(sealed)
    assert fault.object == made.volumes[0].object
    assert "memory" in fault.problem.lower() or "window" in fault.problem.lower(), fault
    assert 0 < peak.bytes < GIB // 2


def test_a_small_object_that_becomes_huge_is_read_in_pieces(job: Job, tmp_path: Path) -> None:
    frame = zeros(GIB, 20)
    assert len(frame) < 2**20
    sealed, made = with_volume(job, frame, tmp_path)
    with watched() as peak:
        [fault] = open_volumes(sealed)
    assert fault.object == made.volumes[0].object
    assert "not what the manifest says" in fault.problem
    assert 0 < peak.bytes < GIB // 2


@pytest.mark.parametrize("at", [0, 1, 4, 5, 9, 20, -5, -1])
def test_a_damaged_frame_is_named(job: Job, tmp_path: Path, at: int) -> None:
    frame = bytearray(zstandard.ZstdCompressor(write_checksum=True).compress(b"abc" * 5000))
    frame[at] ^= 0x41
    sealed, made = with_volume(job, bytes(frame), tmp_path)
    assert [each.object for each in open_volumes(sealed)] == [made.volumes[0].object]


@pytest.mark.parametrize(
    "frame", [b"", b"\0" * 100, b"(\xb5/\xfd", b"\x50\x2a\x4d\x18\xff\xff\xff\xff"]
)
def test_what_is_no_frame_is_named(job: Job, tmp_path: Path, frame: bytes) -> None:
    sealed, made = with_volume(job, frame, tmp_path)
    assert [each.object for each in open_volumes(sealed)] == [made.volumes[0].object]
