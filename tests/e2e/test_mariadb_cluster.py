"""Does a switch of real MariaDB servers lose nothing, and does it say so when it must?"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sre.core.clock import Deadline
from sre.sql.ledger.engines import open_engine
from sre.sql.ledger.model import Outcome, Plan, Report
from sre.sql.ledger.reading import verify
from sre.sql.ledger.writing import Writers
from tests.servers.mariaset import REPO, MariaSet, running_maria_set
from tests.servers.net import wait_until


@contextlib.contextmanager
def writing(made: MariaSet, folder: Path) -> Iterator[Writers]:
    plan = Plan(writers=4, rate=100.0)
    with Writers(open_engine(made.dsn, table="sre_ledger", wait=0), folder, plan) as writers:
        wait_until(lambda: writers.counts()[Outcome.ACKNOWLEDGED] > 20, 20, "writes")
        yield writers


def more_writes(writers: Writers) -> None:
    before = writers.counts()[Outcome.ACKNOWLEDGED]
    wait_until(lambda: writers.counts()[Outcome.ACKNOWLEDGED] > before + 20, 20, "writes again")


def judged(made: MariaSet, folder: Path) -> Report:
    engine = open_engine(made.dsn, table="sre_ledger", wait=0)
    return verify(folder, engine, Deadline.after(20))


def lost(report: Report) -> int:
    assert report.verdict is not None
    return report.verdict.lost


@pytest.fixture(scope="module")
def cluster() -> Iterator[MariaSet]:
    """Commits wait for a replica, for ever; every test leaves it whole, whoever is primary."""
    with running_maria_set() as made:
        yield made


def primary_of(made: MariaSet) -> str:
    (name,) = made.primaries()
    made.whole(name)
    return name


def others(made: MariaSet, primary: str) -> list[str]:
    return [name for name in made.nodes if name != primary]


def reasons(document: Any) -> set[str]:
    return {each["check"] for each in document["reasons"]}


def test_switchover_under_load_loses_nothing(cluster: MariaSet, tmp_path: Path) -> None:
    old = primary_of(cluster)
    new = others(cluster, old)[0]
    with writing(cluster, tmp_path / "ledger") as writers:
        code, document = cluster.sre("switchover", "orders", "--to", new)
        more_writes(writers)
        writers.stop()
    assert (code, document["outcome"]) == (0, "ok"), document
    assert primary_of(cluster) == new
    assert cluster.states() == {n: "open/open" if n == new else "closed/closed" for n in "abc"}
    report = judged(cluster, tmp_path / "ledger")
    assert lost(report) == 0
    assert report.good
    assert report.gaps.longest is not None
    gap = report.gaps.longest.ended - report.gaps.longest.began
    floor = by_hand(cluster, new, old)
    print(f"write gap {gap * 1000:.0f} ms, the statements by hand {floor * 1000:.0f} ms")
    assert gap < 3
    semi = "show global status like 'Rpl_semi_sync_master_status'"
    assert cluster[old].sql(semi) == [("Rpl_semi_sync_master_status", "ON")]


def by_hand(made: MariaSet, old: str, new: str) -> float:
    """The bare statements of a switchover, and nothing else; seconds in which nobody can write."""
    for name in others(made, old):
        made[name].sql("set global rpl_semi_sync_master_enabled = 0")
    with made[old].connect() as first, made[new].connect() as second:
        a, b = first.cursor(), second.cursor()
        began = time.monotonic()
        a.execute("flush tables with read lock")
        a.execute("set global read_only = 1")
        a.execute("select @@gtid_binlog_pos")
        b.execute("select master_gtid_wait(%s, 10)", a.fetchone())
        assert b.fetchone() == (0,)
        b.execute("stop slave")
        b.execute("set global rpl_semi_sync_master_timeout = 3600000")
        b.execute("set global rpl_semi_sync_master_enabled = 1")
        b.execute("set global read_only = 0")
        seconds = time.monotonic() - began
        b.execute("reset slave all")
        a.execute("unlock tables")
    position = made[old].sql("select @@gtid_binlog_pos")[0][0]
    made[old].sql("set global rpl_semi_sync_master_enabled = 0",
                  f"set global gtid_slave_pos = '{position}'")  # fmt: skip
    for name in others(made, new):
        made.follow(name, new)
    made.whole(new)
    argv = [*map(str, (sys.executable, "-m", "sre", "traffic", "repoint", "front", new))]
    done = subprocess.run(
        [*argv, "--config", str(made.config)], env={**os.environ, **made.env}, cwd=REPO,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return seconds


def test_kill_9_with_semi_sync_loses_nothing(cluster: MariaSet, tmp_path: Path) -> None:
    old = primary_of(cluster)
    cluster.run("ack", "orders")
    with writing(cluster, tmp_path / "ledger") as writers:
        assert cluster.run("status").returncode == 0  # somebody looks at it from time to time
        cluster[old].kill()
        code, document = cluster.sre("failover", "orders")
        assert (code, document["outcome"]) == (0, "ok"), document
        more_writes(writers)
        writers.stop()
    assert lost(judged(cluster, tmp_path / "ledger")) == 0
    code, document = cluster.sre("rejoin", "orders", old)
    assert (code, document["outcome"]) == (0, "ok"), document
    assert primary_of(cluster) == document["old"] != old
    assert cluster[old].sql("select @@read_only") == [(1,)]


def test_what_only_the_old_primary_has_is_counted_and_kept(
    cluster: MariaSet, tmp_path: Path
) -> None:
    """The negative control: asynchronous, nothing is sent any more, and it dies."""
    old = primary_of(cluster)
    cluster.run("ack", "orders")
    with writing(cluster, tmp_path / "ledger") as writers:
        cluster[old].sql("set global rpl_semi_sync_master_enabled = 0")
        more_writes(writers)
        for name in others(cluster, old):
            cluster[name].sql("stop slave io_thread")
        more_writes(writers)
        assert cluster.run("status").returncode in (0, 3)
        cluster[old].kill()
        code, document = cluster.sre("failover", "orders")
        assert (code, document["outcome"]) == (5, "refused"), document
        assert reasons(document) == {"data-loss"}
        code, document = cluster.sre("failover", "orders", "--accept-data-loss", "a drill")
        assert (code, document["outcome"]) == (0, "ok"), document
        more_writes(writers)
        writers.stop()
    count = lost(judged(cluster, tmp_path / "ledger"))
    assert count > 0
    before = set(cluster[old].folder.iterdir())
    code, document = cluster.sre("rejoin", "orders", old)
    assert (code, document["outcome"]) == (0, "ok"), document
    (kept,) = set(cluster[old].folder.iterdir()) - before
    assert kept.name.startswith(f"sre-diverged-{old}-")
    assert (kept / "events.sql").stat().st_size > 0
    new = primary_of(cluster)
    text = "select count(*) from shop.sre_ledger"
    assert cluster[old].sql(text) == cluster[new].sql(text)
    cluster[new].sql("set global rpl_semi_sync_master_timeout = 3600000",
                     "set global rpl_semi_sync_master_enabled = 1")  # fmt: skip


@pytest.mark.parametrize(
    ("break_it", "mend", "check"),
    [
        ("stop slave sql_thread", "start slave", "sql-stopped"),
        pytest.param("stop slave io_thread", "start slave", "not-streaming",
                     marks=pytest.mark.long),
        pytest.param("stop slave; change master to master_delay = 600; start slave",
                     "stop slave; change master to master_delay = 0; start slave", "delayed",
                     marks=pytest.mark.long),
        pytest.param("stop slave; set global replicate_ignore_db = 'x'; start slave",
                     "stop slave; set global replicate_ignore_db = ''; start slave", "filters",
                     marks=pytest.mark.long),
        pytest.param("stop slave; change master to master_use_gtid = no; start slave",
                     "stop slave; change master to master_use_gtid = slave_pos; start slave",
                     "not-gtid", marks=pytest.mark.long),
    ],
    ids=["sql", "io", "delay", "filter", "file-and-position"],
)  # fmt: skip
def test_a_replica_that_cannot_is_refused(
    cluster: MariaSet, break_it: str, mend: str, check: str
) -> None:
    old = primary_of(cluster)
    new = others(cluster, old)[0]
    try:
        cluster[new].sql(*break_it.split("; "))
        code, document = cluster.sre("switchover", "orders", "--to", new)
    finally:
        cluster[new].sql(*mend.split("; "))
    assert (code, document["outcome"]) == (5, "refused"), document
    assert check in reasons(document)
    assert cluster.primaries() == [old]


@pytest.mark.long
def test_a_transaction_on_the_wrong_node_is_refused_and_rejoin_copies_it_anew(
    cluster: MariaSet,
) -> None:
    old = primary_of(cluster)
    new = others(cluster, old)[0]
    cluster[new].sql("create database wrong")
    code, document = cluster.sre("switchover", "orders", "--to", new)
    assert (code, reasons(document)) == (5, {"errant"})
    code, document = cluster.sre("rejoin", "orders", new)
    assert (code, document["outcome"]) == (0, "ok"), document
    assert primary_of(cluster) == old
    assert cluster[new].sql("show databases like 'wrong'") == []


@pytest.mark.long
def test_a_frozen_primary_is_fenced_before_anybody_takes_over(
    cluster: MariaSet, tmp_path: Path
) -> None:
    old = primary_of(cluster)
    cluster.run("ack", "orders")
    with writing(cluster, tmp_path / "ledger") as writers:
        assert cluster.run("status").returncode == 0
        cluster[old].signal(signal.SIGSTOP)
        code, document = cluster.sre("failover", "orders")
        assert (code, document["outcome"]) == (0, "ok"), document
        assert cluster[old].pids() == ()
        more_writes(writers)
        writers.stop()
    assert lost(judged(cluster, tmp_path / "ledger")) == 0
    assert cluster.sre("rejoin", "orders", old)[0] == 0


@pytest.mark.parametrize(
    "step",
    ["block",
     *(pytest.param(each, marks=pytest.mark.long)
       for each in ("prepare", "verify", "promote", "repoint", "write", "forget", "follow",
                    "settle"))],
)  # fmt: skip
def test_the_tool_killed_in_a_step_goes_on_to_the_same_end(cluster: MariaSet, step: str) -> None:
    old = primary_of(cluster)
    new = others(cluster, old)[0]
    argv = [sys.executable, "-c", _KILLED, step]
    env = {**os.environ, **cluster.env, "CONFIG": str(cluster.config), "TO": new}
    done = subprocess.run(argv, env=env, cwd=REPO, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    code, document = cluster.sre("resume", "orders")
    assert (code, document["outcome"]) == (0, "ok"), document
    assert primary_of(cluster) == new
    assert cluster.states()[new] == "open/open"


_KILLED = """
import os, signal, sys
step = sys.argv[1]
from sre.failover.operation.record import Record
add = Record.add
def killing(self, event, **more):
    if event == "end" and more.get("step") == step:
        os.kill(os.getpid(), signal.SIGKILL)  # it was done, and nobody wrote that down
    add(self, event, **more)
Record.add = killing
from sre.cli.main import main
sys.argv = ["sre", "failover", "switchover", "orders", "--to", os.environ["TO"],
            "--config", os.environ["CONFIG"]]
main()
"""


def test_an_account_with_all_rights_cannot_write_meanwhile(cluster: MariaSet) -> None:
    """root passes by read_only; a long transaction of it is ended, and nothing of it is left."""
    old = primary_of(cluster)
    new = others(cluster, old)[0]
    cluster[old].sql("create table if not exists shop.t (id int primary key)")
    with cluster[old].connect() as direct, direct.cursor() as cursor:
        cursor.execute("begin")
        cursor.execute("replace into shop.t values (12345)")
        code, document = cluster.sre("switchover", "orders", "--to", new)
        assert (code, document["outcome"]) == (0, "ok"), document
        with contextlib.suppress(Exception):
            cursor.execute("commit")
    cluster.whole(new)
    assert cluster[old].sql("select * from shop.t") == cluster[new].sql("select * from shop.t")
