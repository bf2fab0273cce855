"""Does the log reach the store when server, store, disk or archiver fail?"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sre.backup.log.render import status_as_text
from sre.backup.log.service import archive
from sre.backup.log.status import log_status
from sre.backup.runner import run_backup
from sre.core.clock import FakeClock
from sre.core.units import Duration
from tests.servers.net import wait_until
from tests.servers.postgresql import PgServer, running_postgres, running_standby
from tests.servers.s3 import S3Server
from tests.servers.s3faults import Rule, faulty_s3
from tests.unit.backup.log_setting import (
    QUICK,
    fact,
    job_at,
    job_of_scene,
    load,
    order,
    reader_for,
    reader_of,
    scene_of,
    serving,
    stored_text,
    text_of,
)
from tests.unit.backup.setting import make_job, make_keys, postgres

pytestmark = pytest.mark.postgres


@pytest.fixture
def victim() -> Iterator[PgServer]:
    """A server that may be killed."""
    with running_postgres("15", fsync="on") as found:
        found.sql("create table orders (id bigserial primary key, name text)")
        yield found


def test_after_kill_9_of_server_and_archiver_the_measured_rpo_was_true(
    victim: PgServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERS_DSN", victim.dsn())
    scene, acknowledged = scene_of(tmp_path, victim), list[tuple[float, str]]()
    with serving(scene) as archiver, load(victim, acknowledged):
        wait_until(lambda: len(acknowledged) > 1500, 40, "orders")
        wait_until(lambda: (fact(scene).get("last") or 0) > acknowledged[700][0], 30, "the log")
        os.kill(archiver.pid, signal.SIGKILL)
        os.kill(victim.pid, signal.SIGKILL)
        told = fact(scene)
    assert told["rpo_seconds"] < 6
    reader = reader_for(job_of_scene(scene), told["place"])
    first = min(number for _, number in {*reader.held.whole, *reader.held.partial})
    got = reader.fetch(first * reader.size, 1, None, tmp_path / "out")
    text = text_of(tmp_path / "out", got.names)
    assert got.upto is not None
    assert got.upto >= told["last"] - 0.001
    due = [name for at, name in acknowledged if at <= got.upto]
    assert len(due) > 700
    assert [name for name in due if name.encode() not in text] == []


@pytest.mark.long
def test_a_user_who_may_only_replicate_keeps_the_rpo(
    victim: PgServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sees nothing of pg_stat_replication; what is not whole is stored early all the same."""
    victim.sql("create role backup login replication password 'b'")
    dsn = victim.dsn("backup", "b")
    monkeypatch.setenv("ORDERS_DSN", dsn)
    scene = dataclasses.replace(scene_of(tmp_path, victim), dsn=dsn)
    with serving(scene):
        wait_until(lambda: fact(scene).get("state") == "following", 30, "the archiver")
        order(victim, "<the last one>")
        at = float(victim.sql("select extract(epoch from clock_timestamp())::float8")[0][0])
        wait_until(lambda: (fact(scene).get("last") or 0) >= at, 20, "the log")
    reader = reader_for(job_of_scene(scene), fact(scene)["place"])
    assert not reader.held.whole
    assert b"<the last one>" in stored_text(reader, tmp_path / "out")


def test_such_a_user_learns_that_the_log_comes_in_again(
    victim: PgServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim.sql("create role backup login replication password 'b'")
    dsn = victim.dsn("backup", "b")
    monkeypatch.setenv("ORDERS_DSN", dsn)
    scene = dataclasses.replace(scene_of(tmp_path, victim), dsn=dsn)
    with serving(scene):
        wait_until(lambda: fact(scene).get("state") == "following", 30, "the archiver")
        victim.stop()
        wait_until(lambda: fact(scene).get("state") == "behind", 30, "the trouble")
        victim.start()
        wait_until(lambda: fact(scene).get("state") == "following", 40, "the end of the trouble")


def test_an_archiver_that_was_killed_is_silent_and_late(
    victim: PgServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERS_DSN", victim.dsn())
    scene = scene_of(tmp_path, victim)
    with serving(scene):
        wait_until(lambda: fact(scene).get("rpo_seconds") is not None, 30, "the archiver")
    later = FakeClock(time.time() + 60)
    job = dataclasses.replace(job_of_scene(scene), state=tmp_path / "state", clock=later)
    found = log_status(job, "orders")
    assert (found.archiver, found.good) == ("silent", False)
    assert found.misses_rpo
    assert "it does not run" in status_as_text(found)


def test_sigterm_stores_the_rest_and_the_next_start_goes_on(
    victim: PgServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERS_DSN", victim.dsn())
    scene = scene_of(tmp_path, victim)
    with serving(scene) as archiver:
        wait_until(lambda: fact(scene).get("stored"), 30, "the first piece")
        order(victim, "the last word")
        order(victim, "and one more")
        archiver.terminate()
        assert archiver.wait(30) == 143
    reader = reader_for(job_of_scene(scene), fact(scene)["place"])
    assert b"the last word" in stored_text(reader, tmp_path / "out")
    lease = json.loads((tmp_path / "store/v1/locks/orders/archive.json").read_bytes())
    assert lease["released"]
    with serving(scene):  # the server goes away and comes back meanwhile
        wait_until(lambda: fact(scene).get("state") == "following", 30, "the second start")
        victim.stop()
        victim.start()
        order(victim, "after the restart")

        def there() -> bool:
            shutil.rmtree(tmp_path / "again", ignore_errors=True)
            reader = reader_for(job_of_scene(scene), fact(scene)["place"])
            return b"after the restart" in stored_text(reader, tmp_path / "again")

        wait_until(there, 40, "what was written after the restart")


@pytest.mark.long
def test_a_store_that_is_away_delays_and_loses_nothing(
    victim: PgServer, s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERS_DSN", victim.dsn())
    with faulty_s3(s3_server) as (faults, shown):
        store = shown.store(attempts=2, timeout=Duration(1.0))
        job = make_job(
            tmp_path / "state", make_keys(tmp_path / "keys"), postgres(victim.dsn()),
            store=store, tier=QUICK,
        )  # fmt: skip
        job = dataclasses.replace(job, lease_ttl=6.0)
        archive(job, "orders", once=True)
        order(victim, "while all was well")
        for act in ("503", "reset", "lost"):
            victim.sql("select pg_switch_wal()")
            faults.plan(Rule(act, "PUT", "/log/", times=1))
            order(victim, f"during {act}")
            archive(job, "orders", once=True)
        faults.plan(Rule("flip-up", "PUT", r"zst\.age", times=1))
        order(victim, "during a flip")
        with contextlib.suppress(Exception):
            archive(job, "orders", once=True)
        faults.plan()
        archive(job, "orders", once=True)
        text = stored_text(reader_of(job, victim), tmp_path / "out")
        for words in ("while all was well", "during 503", "during reset", "during lost", "flip"):
            assert words.encode() in text


@pytest.mark.long
def test_a_promoted_standby_is_followed_and_the_old_primary_is_not_believed(
    tmp_path: Path,
) -> None:
    with running_postgres("16", fsync="off") as old, running_standby(old) as new:
        old.sql("create table orders (id bigserial primary key, name text)")
        job = job_at(tmp_path, old)
        run_backup(job, "orders")
        order(old, "on the first timeline")
        archive(job, "orders", once=True)
        [(at,)] = old.sql("select pg_current_wal_lsn()::text")
        wait_until(
            lambda: new.sql(f"select pg_last_wal_replay_lsn() >= '{at}'::pg_lsn")[0][0],
            20,
            "replay",
        )
        new.sql("select pg_promote(true)")
        order(new, "on the second timeline")
        moved = dataclasses.replace(job.declared("orders"), database=postgres(new.dsn()))
        backups = dataclasses.replace(job.backups, databases={"orders": moved})
        after = dataclasses.replace(job, backups=backups)
        archive(after, "orders", once=True)
        base = log_status(after, "orders").windows[-1]
        assert base.cover.way.timeline == 2
        assert base.cover.whole
        reader = reader_of(after, new)
        got = reader.fetch(base.base.start, 1, None, tmp_path / "out")
        assert got.names[0] == "00000002.history"
        text = text_of(tmp_path / "out", got.names)
        assert b"on the first timeline" in text
        assert b"on the second timeline" in text
        order(old, "split brain")  # the old one goes on: its log is not on the way
        archive(job, "orders", once=True)
        shutil.rmtree(tmp_path / "out")
        got = reader_of(after, new).fetch(base.base.start, 1, None, tmp_path / "out")
        text = text_of(tmp_path / "out", got.names)
        assert b"on the second timeline" in text
        assert b"split brain" not in text


@pytest.mark.long
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a tmpfs needs root")
def test_a_full_spool_is_named_and_goes_on_once_there_is_room(
    victim: PgServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERS_DSN", victim.dsn())
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(disk)], check=True)
    try:
        (disk / "fill").write_bytes(b"x" * 8 * 2**20)
        scene = scene_of(tmp_path, victim)
        line = f"    archive: {{spool: {disk}}}\n"
        text = scene.config.read_text()
        scene.config.write_text(text.replace("    tier: gold\n", f"    tier: gold\n{line}", 1))
        order(victim, "kept on the server")
        with serving(scene):
            wait_until(lambda: "No space left" in fact(scene).get("problem", ""), 30, "the word")
            (disk / "fill").unlink()
            wait_until(lambda: fact(scene).get("state") == "following", 40, "room")
            wait_until(lambda: fact(scene).get("stored"), 30, "the log")
        reader = reader_for(job_of_scene(scene), fact(scene)["place"])
        assert b"kept on the server" in stored_text(reader, tmp_path / "out")
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
