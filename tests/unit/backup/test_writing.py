"""Do the files of a restore come out as they were, however they reach the disk?"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sre.backup.pages.writing import Disk
from tests.unit.backup.paged import apply
from tests.unit.backup.test_pages import tar_of

LARGE = 2**18
SLAB = 2**22


def written(path: Path, content: bytes, step: int, said: int | None = None) -> bytes:
    """What stands in a file that was written in such pieces."""
    disk = Disk()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    file = disk.create(descriptor, len(content) if said is None else said)
    view = memoryview(content)
    for at in range(0, len(content), step):
        file.feed(view[at : at + step])
    file.close()
    disk.settle()
    return path.read_bytes()


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    size=st.sampled_from([0, 1, LARGE - 1, LARGE, LARGE + 1, SLAB, SLAB + 4096, 2 * SLAB + 511]),
    step=st.sampled_from([509, 8192, 32768, 100_003, 2**20, 5 * 2**20]),
)
def test_a_file_is_what_was_fed(tmp_path: Path, size: int, step: int) -> None:
    content = (os.urandom(4099) * (size // 4099 + 1))[:size]
    assert written(tmp_path / "file", content, max(step, size // 999)) == content


def test_many_files_share_the_memory_and_none_gets_anothers_bytes(tmp_path: Path) -> None:
    disk, contents = Disk(), [bytes([number]) * (SLAB // 2 + number) for number in range(24)]
    for number, content in enumerate(contents):
        file = disk.create(os.open(tmp_path / str(number), os.O_WRONLY | os.O_CREAT), len(content))
        file.feed(memoryview(content))
        file.close()
    disk.settle()
    assert [(tmp_path / str(number)).read_bytes() for number in range(24)] == contents


def test_whole_blocks_go_past_the_cache_where_that_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = list[int]()
    write = os.write

    def seen(descriptor: int, data: memoryview) -> int:
        flags.append(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT)
        return write(descriptor, data)

    monkeypatch.setattr("sre.backup.pages.writing.os.write", seen)
    content = os.urandom(SLAB + 4096 + 5)
    assert written(tmp_path / "file", content, 2**20) == content
    assert flags[-1] == 0
    if flags[0]:  # the file system of the tests can do it
        assert flags == [os.O_DIRECT, os.O_DIRECT, 0]


def test_a_file_system_that_cannot_do_it_after_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes the flag and refuses the write, as some network file systems do."""
    write, refused = os.write, list[int]()

    def picky(descriptor: int, data: memoryview) -> int:
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT:
            refused.append(len(data))
            raise OSError(errno.EINVAL, "Invalid argument")
        return write(descriptor, data)

    monkeypatch.setattr("sre.backup.pages.writing.os.write", picky)
    content = os.urandom(SLAB + 7)
    assert written(tmp_path / "file", content, 2**20) == content
    assert len(refused) <= 1


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a tmpfs needs root")
@pytest.mark.parametrize("sizes", [(9 * SLAB,), (2**20,) * 9, (3 * 2**20, 10, SLAB)])
def test_a_full_disk_is_said_whichever_file_it_meets(small: Path, sizes: tuple[int, ...]) -> None:
    tar = tar_of({f"base/5/{number}": bytes(size) for number, size in enumerate(sizes)})
    with pytest.raises(OSError, match="No space left"):
        apply(tar, small)


def test_files_and_folders_have_the_modes_of_the_source_whatever_the_umask(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    tar = tar_of({"base/1": b"x", "base/2": bytes(LARGE)}, mode=0o640)
    before = os.umask(0o077)
    try:
        apply(tar, folder)
    finally:
        os.umask(before)
    found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}
    assert found == {"base": 0o750, "1": 0o640, "2": 0o640}


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming somebody else needs root")
def test_a_folder_that_nobody_may_write_to_is_filled_first_and_changed_later() -> None:
    """By the user that the server runs as, as the source had it."""
    with tempfile.TemporaryDirectory() as base:
        os.chown(base, 65534, 65534)
        tars = [
            tar_of({"conf.d/a.conf": text, "empty/x/b": text}, mode=0o440) for text in (b"1", b"2")
        ]
        os.seteuid(65534)
        try:
            for tar in tars:
                apply(tar, Path(base))
        finally:
            os.seteuid(0)
        assert (Path(base) / "conf.d/a.conf").read_bytes() == b"2"
        assert stat.S_IMODE((Path(base) / "conf.d").stat().st_mode) == 0o550
        for path in Path(base).rglob("*"):
            path.chmod(0o700)
