"""Is each line of a log handed out exactly once, whatever rotates, truncates, packs or restarts?"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import tempfile
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sre.core.accesslog import MAX_LINE
from sre.probes.logcursor import Follower
from sre.probes.logplace import Place, Unreadable, generations

NOW = 1e12
"""Long after everything was written: files that are done are let go of at once."""


class Log:
    """A log, its writer, those who rotate it, and a reader that remembers."""

    def __init__(self, folder: Path, *, most: int = 2**30, watched: bool = True) -> None:
        self.path = folder / "access.log"
        self.places: tuple[Place, ...] = ()
        self.most, self.watched = most, watched
        self.written: list[bytes] = []
        self.read: list[bytes] = []
        self.gaps = self.overlong = self.lag = 0
        self.numbers = count()
        self.half = b""
        self.writer = self.path.open("ab", buffering=0)

    def write(self, lines: int = 1, width: int = 20) -> None:
        for _ in range(lines):
            line = f"{next(self.numbers):08}".encode().ljust(width, b".")
            self.writer.write(line + b"\n")
            self.written.append(self.half + line)
            self.half = b""

    def write_half(self) -> None:
        part = f"<{next(self.numbers)}>".encode()
        self.writer.write(part)
        self.half += part

    def finish(self) -> None:
        if self.half:
            self.write()

    def shift(self) -> None:
        """access.log.2 -> access.log.3 and so on, packed ones too."""
        names = sorted(self.path.parent.glob("access.log.*"), key=lambda p: -_number(p))
        for old in names:
            suffix = old.suffix if old.suffix in (".gz", ".bz2", ".xz") else ""
            old.rename(old.with_name(f"access.log.{_number(old) + 1}{suffix}"))

    def rename(self) -> None:
        """As logrotate does with `create`: the writer opens the new file."""
        self.finish()
        self.shift()
        self.path.rename(self.path.with_name("access.log.1"))
        self.writer.close()
        self.writer = self.path.open("ab", buffering=0)

    def rename_slowly(self) -> None:
        """The writer goes on in the renamed file until it is told."""
        self.finish()
        self.shift()
        self.path.rename(self.path.with_name("access.log.1"))
        self.path.touch()
        self.write(2)
        self.look()
        self.write(2)
        self.writer.close()
        self.writer = self.path.open("ab", buffering=0)

    def copy_and_truncate(self) -> None:
        self.finish()
        self.shift()
        (self.path.parent / "access.log.1").write_bytes(self.path.read_bytes())
        os.truncate(self.path, 0)

    def pack(self, how: str) -> None:
        pack = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}[how]
        for old in self.path.parent.glob("access.log.*"):
            if old.suffix not in (".gz", ".bz2", ".xz"):
                times = old.stat()
                old.with_name(old.name + how).write_bytes(pack(old.read_bytes()))
                os.utime(old.with_name(old.name + how), ns=(times.st_atime_ns, times.st_mtime_ns))
                old.unlink()

    def look(self) -> None:
        now = 0.0 if self.watched else NOW
        follower = Follower(self.path, self._restarted(), max_bytes=self.most, now=now)
        for batch in follower.batches():
            self.read += [line.lstrip(b"\0") for line in batch.split(b"\n") if line]
        self.places = follower.places
        self.gaps += follower.gaps
        self.overlong += follower.overlong
        self.lag = follower.lag

    def _restarted(self) -> tuple[Place, ...]:
        """The places as they come out of a file."""
        return tuple(Place.from_json(place.to_json()) for place in self.places)

    def catch_up(self) -> None:
        self.finish()
        for _ in range(400):
            self.look()
            if not self.lag:
                return

    def close(self) -> None:
        self.writer.close()


def _number(path: Path) -> int:
    return int(path.name.split(".")[2])


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 400)),
        st.tuples(st.sampled_from(["half", "look", "rename", "slowly", "copy"]), st.just(0)),
        st.tuples(st.just("pack"), st.sampled_from([".gz", ".bz2", ".xz"])),
    ),
    max_size=25,
)


@given(steps=STEPS, most=st.sampled_from([1, 5000, 2**30]))
@settings(max_examples=100)
def test_no_line_is_lost_or_read_twice(steps, most) -> None:
    """After a first look: what stood in older files before it, nobody wants to know."""
    with tempfile.TemporaryDirectory() as folder:
        log = Log(Path(folder))
        log.write(3)
        log.catch_up()
        log.most = most
        for what, how in steps:
            match what:
                case "write":
                    log.write(how)
                case "half":
                    log.write_half()
                case "look":
                    log.look()
                case "rename":
                    log.rename()
                case "slowly":
                    log.rename_slowly()
                case "copy":
                    log.copy_and_truncate()
                case "pack":
                    log.pack(how)
        log.catch_up()
        log.close()
        assert sorted(log.read) == sorted(log.written)
        assert log.gaps == 0


@pytest.fixture
def log(tmp_path: Path):
    found = Log(tmp_path)
    yield found
    found.close()


def test_a_log_that_is_not_there_yet_is_read_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "later" / "access.log"
    follower = Follower(path, (), max_bytes=1000, now=0)
    assert (list(follower.batches()), follower.found, follower.places) == ([], False, ())
    path.parent.mkdir()
    path.write_bytes(b"one\ntwo\n")
    again = Follower(path, follower.places, max_bytes=1000, now=0)
    assert b"".join(again.batches()) == b"one\ntwo\n"
    assert again.found


def test_the_first_look_begins_with_the_newest_lines(log: Log) -> None:
    log.write(1000, width=99)
    log.most = 1050
    log.look()
    assert log.read == log.written[-10:]
    assert log.lag == 0


def test_lines_exactly_at_the_cut_are_whole(log: Log) -> None:
    log.write(1000, width=99)
    log.most = 1000
    log.look()
    assert log.read == log.written[-10:]


def test_a_half_line_waits_for_its_end(log: Log) -> None:
    log.write(2)
    log.write_half()
    log.look()
    assert len(log.read) == 2
    log.look()
    log.finish()
    log.look()
    assert log.read == log.written


def test_a_log_that_was_emptied_is_told(log: Log) -> None:
    log.write(5)
    log.look()
    log.write(2)
    os.truncate(log.path, 0)
    log.write(1)
    log.look()
    assert log.gaps == 1
    assert log.read == [*log.written[:5], log.written[-1]]


def test_an_emptied_log_that_grew_past_the_place_is_told(log: Log) -> None:
    log.write(5)
    log.look()
    os.truncate(log.path, 0)
    log.write(50)
    log.look()
    assert (log.gaps, log.read) == (1, log.written)


def test_a_new_file_with_the_old_inode_is_a_new_file(log: Log) -> None:
    log.write(5)
    log.look()
    place = log.places[0]
    log.path.write_bytes(b"".join(b"new %04d\n" % n for n in range(100)))
    assert log.path.stat().st_ino == place.inode
    log.look()
    assert len(log.read) == 105


def test_the_rest_of_a_file_that_is_gone_is_a_gap(log: Log) -> None:
    log.write(5)
    log.look()
    log.write(3)
    log.rename()
    (log.path.parent / "access.log.1").unlink()
    log.write(2)
    log.look()
    assert (log.gaps, log.read) == (1, log.written[:5] + log.written[-2:])


def test_a_file_that_was_watched_long_enough_is_let_go(log: Log) -> None:
    log.watched = False
    log.write(5)
    log.look()
    log.rename()
    log.write(1)
    log.look()
    assert len(log.places) == 1
    (log.path.parent / "access.log.1").unlink()
    log.write(1)
    log.look()
    assert (log.gaps, log.read) == (0, log.written)


def test_what_another_packer_touches_later_is_not_read_again(log: Log) -> None:
    log.write(5)
    log.look()
    for _ in range(3):
        log.rename()
        log.write(5)
        log.look()
        log.pack(".gz")
        for old in log.path.parent.glob("*.gz"):
            os.utime(old, (NOW, NOW))
    assert (log.gaps, log.read) == (0, log.written)


def test_dates_as_names(log: Log) -> None:
    log.write(3)
    log.look()
    for day in range(18, 23):
        log.write(2)
        log.path.rename(log.path.with_name(f"access.log-202611{day}"))
        log.writer.close()
        log.writer = log.path.open("ab", buffering=0)
        log.write(1)
    log.look()
    assert (log.gaps, log.read) == (0, log.written)


def test_names_that_are_no_rotated_files(tmp_path: Path) -> None:
    names = [
        "access.log", "access.log.1", "access.log.2.gz", "access.log-20261121", "access.log.old",
        "access-20261120.log", "error.log.1", "access.log.lock", "access.log.1.swp",
        "xaccess.log.1",
    ]  # fmt: skip
    for name in names:
        (tmp_path / name).write_text(name)
    found = [one.path.name for one in generations(tmp_path / "access.log")]
    assert set(found) == set(names[:6])
    assert found[-1] == "access.log"


def test_a_line_without_end_takes_no_memory_and_counts_once(log: Log) -> None:
    log.write(1)
    for _ in range(40):
        log.writer.write(b"x" * 2**20)
    log.look()
    assert log.overlong == 1
    assert log.lag == 0
    log.writer.write(b"x" * 1000 + b"\n")
    log.write(2)
    log.look()
    assert (log.overlong, log.read) == (1, log.written)


@given(lengths=st.lists(st.integers(0, 3 * MAX_LINE), max_size=6), most=st.integers(1, 10**6))
@settings(max_examples=30)
def test_long_lines_are_thrown_away_one_by_one(lengths, most) -> None:
    with tempfile.TemporaryDirectory() as folder:
        log = Log(Path(folder))
        log.write(1)
        log.catch_up()
        log.most = most
        for length in lengths:
            log.writer.write(b"y" * length + b"\n")
            log.write(1)
            log.look()
        log.catch_up()
        log.close()
        assert [line for line in log.read if not line.startswith(b"y")] == log.written
        assert sum(length > 4 * MAX_LINE for length in lengths) <= log.overlong


def test_the_hole_under_a_writer_that_does_not_append(log: Log) -> None:
    """`copytruncate` with a writer that keeps its own place: NUL bytes up to there."""
    log.write(3)
    log.look()
    size = log.path.stat().st_size
    with log.path.open("r+b") as writer:
        writer.truncate(0)
        writer.seek(size + 5 * MAX_LINE)
        writer.write(b"after the hole\n")
    log.look()
    assert log.read[3:] == [b"after the hole"]
    assert log.overlong == 0


def test_a_packed_file_that_is_damaged_is_a_gap(log: Log) -> None:
    log.write(500)
    log.most = 4096
    log.look()
    log.rename()
    log.pack(".gz")
    packed = log.path.parent / "access.log.1.gz"
    packed.write_bytes(packed.read_bytes()[:-30])
    log.write(1)
    log.most = 2**30
    log.look()
    assert log.gaps >= 1
    assert log.read[-1] == log.written[-1]


@pytest.mark.parametrize("what", ["folder", "pipe"])
def test_what_is_no_file_is_not_opened(tmp_path: Path, what: str) -> None:
    path = tmp_path / "access.log"
    if what == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)
    with pytest.raises(Unreadable, match="name the file"):
        list(Follower(path, (), max_bytes=1000, now=0).batches())


def test_reading_stops_when_it_is_told_to(log: Log) -> None:
    log.write(50_000, width=99)
    asked = count()
    follower = Follower(log.path, (), max_bytes=2**30, now=0, stop=lambda: next(asked) >= 2)
    read = sum(map(len, follower.batches()))
    assert 0 < read < 10**6
    assert follower.lag == 50_000 * 100 - read
