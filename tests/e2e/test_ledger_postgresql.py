"""Does the ledger tell a lost write from a safe one, on real servers that really lose them?"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from sre.core.clock import Deadline
from sre.core.secrets import Secret
from sre.sql.ledger.engines import open_engine
from sre.sql.ledger.model import Outcome, Plan, Report
from sre.sql.ledger.process import LedgerProcess
from sre.sql.ledger.reading import verify
from sre.sql.ledger.writing import Writers
from tests.servers.faultproxy import FaultProxy
from tests.servers.haproxy import Haproxy, running_haproxy
from tests.servers.net import free_port, wait_until
from tests.servers.postgresql import PgServer, running_postgres, running_standby

pytestmark = pytest.mark.postgres
_FRONT = """
listen pg
  mode tcp
  bind 127.0.0.1:{front}
  server a 127.0.0.1:{a}
  server b 127.0.0.1:{b} disabled
"""


@dataclass
class Shop:
    """A primary, a standby, and HAProxy before them."""

    primary: PgServer
    standby: PgServer
    haproxy: Haproxy
    front: int

    def dsn(self) -> str:
        return f"postgresql://postgres:{self.primary.password}@127.0.0.1:{self.front}/postgres"

    def fail_over(self) -> None:
        self.haproxy.say("set server pg/a state maint; shutdown sessions server pg/a")
        assert self.standby.sql("select pg_promote(true, 30)") == [(True,)]
        self.haproxy.say("set server pg/b state ready")


@contextlib.contextmanager
def shop(home: Path) -> Iterator[Shop]:
    with running_postgres("15") as primary, running_standby(primary) as standby:
        front = free_port()
        more = _FRONT.format(front=front, a=primary.port, b=standby.port)
        with running_haproxy(home / "haproxy", 0, more=more) as haproxy:
            yield Shop(primary, standby, haproxy, front)


def kill_all(server: PgServer) -> None:
    """The postmaster and every process of it, stopped ones too."""
    postmaster = psutil.Process(server.pid)
    for each in [postmaster, *postmaster.children()]:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()


def senders(server: PgServer) -> list[int]:
    return [pid for (pid,) in server.sql("select pid from pg_stat_replication")]


def sync(server: PgServer, names: str) -> None:
    server.sql(f"alter system set synchronous_standby_names = '{names}'")
    server.sql("select pg_reload_conf()")


@pytest.mark.parametrize("safe", [True, False], ids=["synchronous", "asynchronous"])
def test_a_crash_loses_nothing_or_the_ledger_says_what(tmp_path: Path, safe: bool) -> None:
    with shop(tmp_path) as made:
        plan = Plan(writers=4, rate=None, deadline=2.0)
        with LedgerProcess(Secret.literal(made.dsn()), tmp_path / "ledger", plan) as ledger:
            ledger.ready(Deadline.after(20))
            sync(made.primary, "standby" if safe else "")
            time.sleep(0.3)
            for pid in senders(made.primary):
                os.kill(pid, signal.SIGSTOP)
            time.sleep(0.4)
            fault = time.monotonic()
            kill_all(made.primary)
            made.fail_over()
            before = ledger.result().counts.acknowledged
            wait_until(
                lambda: ledger.result().counts.acknowledged > before + 50, 20, "writes again"
            )
        found = ledger.verify(Deadline.after(20), since=fault)
    assert found.verdict is not None
    assert found.gaps.since is not None
    assert 0.05 < found.gaps.since.seconds < 15
    assert found.counts.acknowledged > 200
    assert found.verdict.unexpected == found.verdict.duplicates == 0
    if safe:
        assert (found.verdict.lost, found.good) == (0, True)
        assert found.counts.ambiguous >= 4  # each writer waited for the standby when it died
    else:
        assert found.verdict.lost > 50
        assert found.good is False
    assert made.primary.password.encode() not in (tmp_path / "ledger/writes.log").read_bytes()


@pytest.fixture(scope="module")
def alone() -> Iterator[PgServer]:
    with running_postgres("15") as server:
        yield server


@contextlib.contextmanager
def writing(dsn: str, folder: Path, **plan: Any) -> Iterator[Writers]:
    made = Plan(**{"writers": 2, "rate": 100.0, **plan})
    engine = open_engine(dsn, table=made.table)
    with Writers(engine, folder, made) as writers:
        wait_until(lambda: writers.counts()[Outcome.ACKNOWLEDGED] > 5, 20, "writes")
        yield writers


def judged(dsn: str, folder: Path, table: str = "sre_ledger") -> Report:
    return verify(folder, open_engine(dsn, table=table), Deadline.after(20))


_WAITING = "select pid from pg_stat_activity where wait_event = 'SyncRep'"


@pytest.mark.parametrize(
    ("how", "word"),
    [("pg_cancel_backend", "warning_01000"), ("pg_terminate_backend", None)],
    ids=["cancelled", "terminated"],
)
def test_a_commit_whose_wait_was_ended_is_no_acknowledgement(
    alone: PgServer, tmp_path: Path, how: str, word: str | None
) -> None:
    with writing(alone.dsn(), tmp_path) as writers:
        try:
            sync(alone, "nobody")
            waiting = wait_until(lambda: len(alone.sql(_WAITING)) == 2, 10, "writers that wait")
            assert waiting
            assert alone.sql(f"select count({how}(pid)) from ({_WAITING}) w") == [(2,)]
            wait_until(lambda: writers.counts()[Outcome.AMBIGUOUS] >= 2, 10, "ambiguous writes")
        finally:
            sync(alone, "")
            alone.sql(f"select pg_cancel_backend(pid) from ({_WAITING}) w")
    found = judged(alone.dsn(), tmp_path)
    assert found.good is True
    assert found.verdict is not None
    assert found.verdict.recovered >= 2
    assert word is None or word in found.counts.errors


def test_a_frozen_server_is_seen_by_the_deadline_and_keeps_no_backends(
    alone: PgServer, tmp_path: Path
) -> None:
    with writing(alone.dsn(), tmp_path, deadline=0.3, connect=0.2) as writers:
        backends = [
            pid
            for (pid,) in alone.sql(
                "select pid from pg_stat_activity where application_name = 'sre-ledger'"
            )
        ]
        with alone.frozen():
            for pid in backends:
                os.kill(pid, signal.SIGSTOP)
            wait_until(lambda: writers.counts()[Outcome.AMBIGUOUS] >= 2, 10, "timeouts")
            wait_until(lambda: writers.counts()[Outcome.FAILED] >= 4, 10, "failed logins")
            for pid in backends:
                os.kill(pid, signal.SIGCONT)
    found = judged(alone.dsn(), tmp_path)
    assert found.good is True
    assert found.counts.errors["timeout"] == 2
    assert found.counts.errors["connect_timeout"] >= 4
    assert found.gaps.longest is not None
    assert found.gaps.longest.seconds > 0.4


def test_a_standby_that_is_awaited_in_vain_does_not_use_up_the_connections(
    alone: PgServer, tmp_path: Path
) -> None:
    with writing(alone.dsn(), tmp_path, deadline=0.2) as writers:
        try:
            sync(alone, "nobody")
            wait_until(lambda: writers.counts()[Outcome.AMBIGUOUS] >= 20, 20, "timeouts")
            assert len(alone.sql(_WAITING)) <= 4
        finally:
            sync(alone, "")
    assert judged(alone.dsn(), tmp_path).good is True


def test_a_server_that_refuses_writes_has_failed_them(alone: PgServer, tmp_path: Path) -> None:
    with writing(alone.dsn(), tmp_path) as writers:
        alone.sql("alter system set default_transaction_read_only = on")
        alone.sql("select pg_reload_conf()")
        try:
            wait_until(lambda: writers.counts()[Outcome.FAILED] >= 3, 10, "refusals")
        finally:
            alone.sql("alter system reset default_transaction_read_only")
            alone.sql("select pg_reload_conf()")
    found = judged(alone.dsn(), tmp_path)
    assert found.good is True
    assert found.counts.ambiguous == 0
    assert found.counts.errors == {"25006": found.counts.failed}


def test_answers_that_are_cut_off_on_the_way_are_ambiguous(
    alone: PgServer, tmp_path: Path, fault_proxy: Callable[[int], FaultProxy]
) -> None:
    proxy = fault_proxy(alone.port)
    dsn = alone.dsn().replace(f":{alone.port}/", f":{proxy.port}/")
    with writing(dsn, tmp_path, deadline=0.3, connect=0.3) as writers:
        proxy.delay(down=0.1)
        time.sleep(0.25)
        proxy.reset()
        wait_until(lambda: writers.counts()[Outcome.AMBIGUOUS] >= 1, 10, "ambiguous writes")
        proxy.heal()
        before = writers.counts()[Outcome.ACKNOWLEDGED]
        wait_until(lambda: writers.counts()[Outcome.ACKNOWLEDGED] > before + 5, 10, "writes again")
    found = judged(dsn, tmp_path)
    assert found.good is True
    assert found.verdict is not None
    assert found.verdict.recovered >= 1


def test_rows_that_are_gone_doubled_or_strange_are_named(alone: PgServer, tmp_path: Path) -> None:
    with writing(alone.dsn(), tmp_path, table="odd_Ledger") as writers:
        run = writers.run
    alone.sql(f"delete from \"odd_Ledger\" where run = '{run}' and writer = 1 and number = 2")
    alone.sql(f"insert into \"odd_Ledger\" (run, writer, number, sent) values ('{run}', 2, 1, 0)")
    alone.sql(f"insert into \"odd_Ledger\" (run, writer, number, sent) values ('{run}', 9, 9, 0)")
    alone.sql("insert into \"odd_Ledger\" (run, writer, number, sent) values ('other', 1, 2, 0)")
    found = judged(alone.dsn(), tmp_path, "odd_Ledger")
    assert found.verdict is not None
    assert (found.verdict.lost_ids, found.verdict.unexpected_ids) == (("1.2",), ("9.9",))
    assert (found.verdict.duplicates, found.good) == (1, False)


def test_a_reading_from_a_standby_proves_nothing(tmp_path: Path, pg_pair: Any) -> None:
    with writing(pg_pair.primary.dsn(), tmp_path, table="ledger_of_pair"):
        pass
    engine = open_engine(pg_pair.standby.dsn(), table="ledger_of_pair")
    found = verify(tmp_path, engine, Deadline.after(0.3))
    assert (found.verdict, found.good) == (None, None)
    assert "standby" in found.unread
    several = pg_pair.standby.dsn().replace(
        f"127.0.0.1:{pg_pair.standby.port}",
        f"127.0.0.1:{pg_pair.standby.port},127.0.0.1:{pg_pair.primary.port}",
    )
    engine = open_engine(f"{several}?target_session_attrs=read-write", table="ledger_of_pair")
    assert verify(tmp_path, engine, Deadline.after(10)).good is True
    pg_pair.primary.sql("drop table ledger_of_pair")
