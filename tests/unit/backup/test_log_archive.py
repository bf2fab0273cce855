"""Does a real server's log reach the store, whatever happens to server, store, disk and us?"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sre.backup.catalogue import Damaged
from sre.backup.job import Job
from sre.backup.log.config import Archive
from sre.backup.log.lsn import parse_lsn
from sre.backup.log.push import push_segment
from sre.backup.log.reading import LogReader
from sre.backup.log.service import archive
from sre.backup.log.status import log_status
from sre.backup.log.writing import Diverged
from sre.backup.pruning.prune import prune
from sre.backup.runner import run_backup
from sre.core.errors import CheckFailed, IntegrityError, Locked
from sre.core.units import Duration
from tests.servers.postgresql import PgServer, running_postgres
from tests.unit.backup.log_setting import (
    drop_slots,
    job_at,
    order,
    reader_of,
    stored_text,
)
from tests.unit.backup.setting import make_keys

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def server() -> Iterator[PgServer]:
    """Archived by each test into a store of its own, with a slot of its own."""
    with running_postgres("15", max_wal_size="'1GB'") as found:
        found.sql("create table orders (id bigserial primary key, name text)")
        yield found


@pytest.fixture
def job(server: PgServer, tmp_path: Path) -> Iterator[Job]:
    yield job_at(tmp_path, server)
    drop_slots(server)


def test_segments_come_back_byte_for_byte(job: Job, server: PgServer, tmp_path: Path) -> None:
    order(server, "before \N{SNOWMAN} the switch")
    [(name,)] = server.sql("select pg_walfile_name(pg_current_wal_lsn())")
    server.sql("select pg_switch_wal()")
    order(server, "in the beginning of a segment")
    reached = archive(job, "orders", once=True)
    reader = reader_of(job, server)
    [(at,)] = server.sql("select pg_current_wal_lsn()::text")
    assert parse_lsn(reached) <= parse_lsn(at)
    text = stored_text(reader, tmp_path / "out")
    assert "before \N{SNOWMAN} the switch".encode() in text
    assert b"in the beginning of a segment" in text
    original = (server.data / "pg_wal" / name).read_bytes()
    assert (tmp_path / "out" / name).read_bytes() == original
    assert archive(job, "orders", once=True)  # nothing new is no trouble


def test_a_flipped_byte_a_forgery_and_a_wrong_key_name_the_object(
    job: Job, server: PgServer, tmp_path: Path
) -> None:
    server.sql("select pg_switch_wal()")
    order(server, "x")
    archive(job, "orders", once=True)
    reader = reader_of(job, server)
    root, name = job.state / "store", reader.segments()[-1].name
    for key, problem in (
        (reader.place.object(name), "damaged"),
        (reader.place.record(name), "record|changed"),
    ):
        good = (root / key).read_bytes()
        place = len(good) // 2
        (root / key).write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        with pytest.raises(Damaged, match=problem) as error:
            reader_of(job, server).open(name)
        assert key in str(error.value)
        (root / key).write_bytes(good)
    stranger = make_keys(tmp_path / "other")
    for changes in ({"identity": stranger.identity}, {"trusted": stranger.trusted}):
        keys = dataclasses.replace(job.backups.keys, **changes)
        with pytest.raises(IntegrityError):
            LogReader(reader.storage, keys, reader.place.prefix).open(name)


def test_a_removed_segment_is_a_named_hole(job: Job, server: PgServer, tmp_path: Path) -> None:
    archive(job, "orders", once=True)
    run_backup(job, "orders")
    for number in range(4):
        order(server, f"hole {number}")
        server.sql("select pg_switch_wal()")
    archive(job, "orders", once=True)
    assert log_status(job, "orders").good
    reader = reader_of(job, server)
    lost = reader.segments()[-2].name
    reader.storage.delete(reader.place.record(lost))
    found = log_status(job, "orders")
    assert [gap.first for gap in found.gaps] == [lost]
    assert found.full_needed
    assert "LOST" in [each.state for each in found.states]
    assert not found.good
    base = found.windows[-1].base
    reader = reader_of(job, server)
    cover = reader.coverage(base.timeline, base.start)
    assert cover.end == cover.gaps[0].begin
    with pytest.raises(CheckFailed, match="nearest possible target"):
        reader.fetch(base.start, base.timeline, cover.last, tmp_path / "out")


def test_what_vanished_from_the_store_is_sent_again_while_the_server_has_it(
    job: Job, server: PgServer, tmp_path: Path
) -> None:
    server.sql("alter system set wal_keep_size = '1GB'")
    server.sql("select pg_reload_conf()")
    try:
        archive(job, "orders", once=True)
        run_backup(job, "orders")
        for number in range(6):
            order(server, f"vanished {number}")
            server.sql("select pg_switch_wal()")
        archive(job, "orders", once=True)
        reader = reader_of(job, server)
        names = [each.name for each in reader.segments()]
        for name in (*names[-5:-3], names[-2]):
            reader.storage.delete(reader.place.record(name))
        assert log_status(job, "orders").full_needed
        said: list[str] = []
        archive(job, "orders", once=True, say=said.append)
        assert sum("stored again" in each for each in said) == 2
        assert log_status(job, "orders").good
        assert b"vanished 3" in stored_text(reader_of(job, server), tmp_path / "out")
        assert not list((job.state / "spool").rglob("again"))
    finally:
        server.sql("alter system reset wal_keep_size")
        server.sql("select pg_reload_conf()")


def test_two_archivers_agree_and_other_bytes_are_a_hard_stop(
    job: Job, server: PgServer, tmp_path: Path
) -> None:
    order(server, "agreed")
    [(name,)] = server.sql("select pg_walfile_name(pg_current_wal_lsn())")
    server.sql("select pg_switch_wal()")
    wal = server.data / "pg_wal" / name
    assert push_segment(job, "orders", wal) == name
    archive(job, "orders", once=True)  # the same segment once more
    assert push_segment(job, "orders", wal) == name
    other = tmp_path / name
    data = bytearray(wal.read_bytes())
    data[5000] ^= 0xFF
    other.write_bytes(data)
    before = [each.key for each in job.storage(job.declared("orders")).list("v1/")]
    with pytest.raises(Diverged, match="two servers") as error:
        push_segment(job, "orders", other)
    assert name in str(error.value)
    assert error.value.exit_code == 7
    assert before == [each.key for each in job.storage(job.declared("orders")).list("v1/")]


def test_files_that_are_no_segment_are_never_stored(
    job: Job, server: PgServer, tmp_path: Path
) -> None:
    good = min((server.data / "pg_wal").glob("0" * 7 + "1" + "0" * 8 + "*"))
    short = tmp_path / good.name
    short.write_bytes(good.read_bytes()[:-1])
    with pytest.raises(IntegrityError, match="bytes, a segment has"):
        push_segment(job, "orders", short)
    wrong = tmp_path / f"{good.name[:-1]}F"
    shutil.copy(good, wrong)
    with pytest.raises(IntegrityError, match="page is at"):
        push_segment(job, "orders", wrong)
    assert not list(job.storage(job.declared("orders")).list("v1/orders/"))


@pytest.mark.parametrize("stage", ["object", "record"])
def test_a_kill_between_object_and_record_loses_nothing(
    job: Job, server: PgServer, tmp_path: Path, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a kill leaves is made by stopping right there; the next start goes on."""
    order(server, f"killed at {stage}")
    server.sql("select pg_switch_wal()")
    order(server, "after")
    kind = type(job.storage(job.declared("orders")))
    put = kind.put

    class Killed(BaseException):
        pass

    def dying(self: Any, key: str, data: bytes) -> None:
        if "/log/" in key and stage == "object":
            raise Killed
        put(self, key, data)
        if "/log/" in key:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(kind, "put", dying)
        with pytest.raises(Killed):
            archive(job, "orders", once=True)
    archive(job, "orders", once=True)
    text = stored_text(reader_of(job, server), tmp_path / "out")
    assert f"killed at {stage}".encode() in text
    assert log_status(job, "orders").gaps == ()


@pytest.mark.long
def test_a_dropped_slot_with_removed_log_is_a_hole_that_asks_for_a_full(
    job: Job, server: PgServer
) -> None:
    archive(job, "orders", once=True)
    run_backup(job, "orders")
    archive(job, "orders", once=True)
    drop_slots(server)
    for number in range(8):
        order(server, f"lost {number}")
        server.sql("select pg_switch_wal()")
    server.sql("alter system set wal_keep_size = 0")
    server.sql("select pg_reload_conf()")
    server.sql("checkpoint")
    server.sql("checkpoint")
    said: list[str] = []
    order(server, "found again")
    archive(job, "orders", once=True, say=said.append)
    server.sql("alter system reset wal_keep_size")
    found = log_status(job, "orders")
    assert found.full_needed
    assert found.gaps
    assert any("sre backup run orders" in each for each in said)
    archive(job, "orders", once=True, say=said.append)
    assert any("lost, the server has removed it too" in each for each in said)
    run_backup(job, "orders")
    archive(job, "orders", once=True)
    assert log_status(job, "orders").gaps == ()


def test_prune_takes_what_lies_before_the_oldest_kept_backup(
    job: Job, server: PgServer, tmp_path: Path
) -> None:
    for number in range(2):
        order(server, f"old {number}")
        server.sql("select pg_switch_wal()")
        archive(job, "orders", once=True)
    run_backup(job, "orders")
    order(server, "new")
    archive(job, "orders", once=True)
    start = log_status(job, "orders").windows[-1].base.start
    [planned] = prune(job, ["orders"])
    [plan] = planned.logs
    assert plan.deleted == 0  # all of it is young
    assert plan.spared > 0
    root = job.state / "store"
    for path in root.rglob("log/*/*"):
        os.utime(path, (1, 1))
    [planned] = prune(job, ["orders"])
    [plan] = planned.logs
    assert plan.deleted > 0
    reader = reader_of(job, server)
    numbers = [number for _, number in (*reader.held.whole, *reader.held.partial)]
    assert min(numbers) == start // reader.size
    assert b"new" in stored_text(reader, tmp_path / "out")
    assert reader.coverage(1, start).whole


def test_one_archiver_at_a_time_here(job: Job) -> None:
    with job.lock("archive", "orders"), pytest.raises(Locked):
        archive(job, "orders", once=True)


def test_what_archive_may_say() -> None:
    for bad in ({"slot": "Bad-Name"}, {"heartbeat": Duration(0.5)}):
        with pytest.raises(ValueError, match="must be"):
            Archive(**bad)
