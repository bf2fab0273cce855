"""Does the ledger count what MariaDB and Redis really lost, also behind sentinels?"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from sre.core.clock import Deadline, SystemClock
from sre.core.errors import Locked, UsageError
from sre.sql.ledger.engines import open_engine
from sre.sql.ledger.model import Outcome, Plan, Report
from sre.sql.ledger.reading import verify
from sre.sql.ledger.writing import Writers
from tests.servers.child import child, program
from tests.servers.mariadb import MariaDb, MariaPair
from tests.servers.net import free_port, wait_until
from tests.servers.redis import PASSWORD, Redis, running_redis


@contextlib.contextmanager
def writing(dsn: str, folder: Path, **plan: Any) -> Iterator[Writers]:
    made = Plan(**{"writers": 2, "rate": 100.0, **plan})
    with Writers(open_engine(dsn, table="sre_ledger", wait=made.wait), folder, made) as writers:
        wait_until(lambda: writers.counts()[Outcome.ACKNOWLEDGED] > 5, 20, "writes")
        yield writers


def judged(dsn: str, folder: Path, seconds: float = 20) -> Report:
    return verify(folder, open_engine(dsn, table="sre_ledger"), Deadline.after(seconds))


@contextlib.contextmanager
def redis_at(home: Path, port: int, *options: str) -> Iterator[subprocess.Popen[str]]:
    argv = [program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with child([*argv, "--dir", str(home), *options], home=home) as process:
        server = Redis(port, process, None)
        wait_until(lambda: server.tell("PING"), 20, "redis-server")
        yield process


@pytest.mark.parametrize("kept", [True, False], ids=["append-only-file", "memory-alone"])
def test_redis_after_a_crash(tmp_path: Path, kept: bool) -> None:
    port, out = free_port(), tmp_path / "ledger"
    options = ("--appendonly", "yes", "--appendfsync", "always") if kept else ()
    dsn = f"redis://127.0.0.1:{port}/0"
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(redis_at(tmp_path / "r", port, *options))
        writers = stack.enter_context(writing(dsn, out))
        first.kill()
        first.wait(5)
        wait_until(lambda: writers.counts()[Outcome.FAILED] >= 2, 10, "refused connections")
        stack.enter_context(redis_at(tmp_path / "r", port, *options))
        before = writers.counts()[Outcome.ACKNOWLEDGED]
        wait_until(lambda: writers.counts()[Outcome.ACKNOWLEDGED] > before + 5, 10, "writes again")
        writers.stop()
        found = judged(dsn, out)
        assert found.verdict is not None
        assert (found.verdict.lost == 0) is kept
        assert kept or 5 < found.verdict.lost <= before
        assert found.good is kept
        assert found.counts.errors["connect_refused"] >= 2


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Redis, Redis, Redis]]:
    """A master, its replica, and a sentinel of theirs."""
    home = tmp_path_factory.mktemp("ledger-redis")
    with contextlib.ExitStack() as stack:
        master = stack.enter_context(
            running_redis(home / "m", "--repl-diskless-sync-delay", "0", "--masterauth", PASSWORD)
        )
        follow = ("--replicaof", f"127.0.0.1 {master.port}", "--masterauth", PASSWORD)
        replica = stack.enter_context(running_redis(home / "r", *follow))
        wait_until(lambda: replica.info("replication")["master_link_status"] == "up", 20, "link")
        text = (
            f"sentinel monitor shop 127.0.0.1 {master.port} 1\n"
            f"sentinel auth-pass shop {PASSWORD}\nsentinel down-after-milliseconds shop 60000\n"
        )
        sentinel = stack.enter_context(running_redis(home / "s", password=None, sentinel=text))
        wait_until(lambda: sentinel.tell("SENTINEL", "REPLICAS", "shop"), 30, "sight")
        yield master, replica, sentinel


def test_redis_counts_a_write_when_the_replica_has_it(
    pair: tuple[Redis, Redis, Redis], tmp_path: Path
) -> None:
    master, replica, _ = pair
    dsn = f"redis://:{quote(PASSWORD)}@127.0.0.1:{master.port}/0"
    with writing(dsn, tmp_path, wait=1, deadline=0.3) as writers:
        os.kill(replica.process.pid, signal.SIGSTOP)
        try:
            wait_until(lambda: writers.counts()[Outcome.AMBIGUOUS] >= 2, 10, "waits in vain")
        finally:
            os.kill(replica.process.pid, signal.SIGCONT)
    found = judged(dsn, tmp_path)
    assert found.counts.errors["too_few_replicas"] >= 2
    assert found.good is True
    there = judged(dsn.replace(str(master.port), str(replica.port)), tmp_path, 0.3)
    assert (there.verdict, "writes do not go there" in there.unread) == (None, True)


def test_redis_refusing_for_want_of_replicas_is_a_failure(
    pair: tuple[Redis, Redis, Redis], tmp_path: Path
) -> None:
    master = pair[0]
    dsn = f"redis://:{quote(PASSWORD)}@127.0.0.1:{master.port}/0"
    with writing(dsn, tmp_path) as writers:
        master.tell("CONFIG", "SET", "min-replicas-to-write", "2")
        try:
            wait_until(lambda: writers.counts()[Outcome.FAILED] >= 3, 10, "refusals")
        finally:
            master.tell("CONFIG", "SET", "min-replicas-to-write", "0")
    found = judged(dsn, tmp_path)
    assert found.counts.errors == {"NOREPLICAS": found.counts.failed}
    assert (found.good, found.counts.ambiguous) == (True, 0)


def test_redis_behind_sentinels_is_followed_to_its_new_master(
    pair: tuple[Redis, Redis, Redis], tmp_path: Path
) -> None:
    _, replica, sentinel = pair
    dead = free_port()
    dsn = f"redis+sentinel://:{quote(PASSWORD)}@127.0.0.1:{dead},127.0.0.1:{sentinel.port}/shop/0"
    with writing(dsn, tmp_path, deadline=1.0) as writers:
        wait_until(lambda: sentinel.tell("SENTINEL", "FAILOVER", "shop"), 20, "a failover begins")
        wait_until(lambda: replica.info("replication")["role"] == "master", 30, "a new master")
        before = writers.counts()[Outcome.ACKNOWLEDGED]
        wait_until(lambda: writers.counts()[Outcome.ACKNOWLEDGED] > before + 10, 20, "writes again")
        begun = time.monotonic()
    found = judged(dsn, tmp_path)
    assert time.monotonic() - begun < 20
    assert found.verdict is not None
    assert found.verdict.read > 10
    assert found.verdict.unexpected == 0


class Jumping(SystemClock):
    """A wall clock that is set back by an hour with every look."""

    looks = 0

    def wall(self) -> float:
        self.looks += 1
        return super().wall() - 3600 * self.looks


def test_a_clock_that_is_set_back_changes_no_gap(
    pair: tuple[Redis, Redis, Redis], tmp_path: Path
) -> None:
    master = pair[0] if pair[0].info("replication")["role"] == "master" else pair[1]
    dsn = f"redis://:{quote(PASSWORD)}@127.0.0.1:{master.port}/0"
    engine = open_engine(dsn, table="sre_ledger")
    with Writers(engine, tmp_path, Plan(seconds=0.5), clock=Jumping()) as writers:
        assert writers.wait(10)
    found = judged(dsn, tmp_path)
    assert found.gaps.longest is not None
    assert found.gaps.longest.seconds < 0.5
    assert (found.good, found.counts.acknowledged) == (True, 100)
    assert found.first is not None
    assert found.last is not None
    assert 0 <= found.last - found.first < 1
    with pytest.raises(UsageError, match="written to redis"):
        verify(tmp_path, open_engine("postgresql://h/d", table="sre_ledger"), Deadline.after(1))


@pytest.fixture(scope="module")
def mariadb(mariadb_pair: MariaPair) -> Iterator[MariaDb]:
    server = mariadb_pair.primary
    server.sql("create database shop")
    server.sql("create user till@127.0.0.1 identified by 'selling'")
    server.sql("grant all on shop.* to till@127.0.0.1")
    yield server
    server.sql("drop database shop", "drop user till@127.0.0.1")


def test_mariadb_lost_rows_refusals_and_freezes(mariadb: MariaDb, tmp_path: Path) -> None:
    dsn = f"mysql://till:selling@127.0.0.1:{mariadb.port}/shop?ssl-mode=disabled"
    with writing(dsn, tmp_path, deadline=0.4, connect=0.4) as writers:
        mariadb.sql("set global read_only = 1")
        wait_until(lambda: writers.counts()[Outcome.FAILED] >= 2, 10, "refusals")
        with pytest.raises(Locked, match="still being written"):
            judged(dsn, tmp_path)
        mariadb.sql("set global read_only = 0")
        before = writers.counts()[Outcome.ACKNOWLEDGED]
        wait_until(lambda: writers.counts()[Outcome.ACKNOWLEDGED] > before + 5, 10, "writes again")
        with mariadb.frozen():
            wait_until(lambda: writers.counts()[Outcome.AMBIGUOUS] >= 1, 10, "a freeze")
        before = writers.counts()[Outcome.ACKNOWLEDGED]
        wait_until(lambda: writers.counts()[Outcome.ACKNOWLEDGED] > before + 5, 10, "writes again")
    mariadb.sql("set global read_only = 1")
    unread = judged(dsn, tmp_path, 0.2)
    assert (unread.verdict, "read-only" in unread.unread) == (None, True)
    mariadb.sql("set global read_only = 0")
    found = judged(dsn, tmp_path)
    assert found.good is True
    assert found.counts.errors["1290"] >= 2
    mariadb.sql(
        f"delete from shop.sre_ledger where run = '{found.head.run}' and writer = 1 and number = 1"
    )
    lost = judged(dsn, tmp_path)
    assert lost.verdict is not None
    assert (lost.verdict.lost_ids, lost.good) == (("1.1",), False)
