"""What if acknowledged writes may be lost, or nobody is left whom a commit could wait for?"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sre.core.clock import Deadline
from sre.core.secrets import Secret
from sre.sql.ledger.model import Plan, Report
from sre.sql.ledger.process import LedgerProcess
from tests.servers.pgset import PgSet, running_set


@pytest.fixture
def asynchronous() -> Iterator[PgSet]:
    with running_set(synchronous="") as found:
        yield found


@contextlib.contextmanager
def ledger(pgset: PgSet, folder: Path) -> Iterator[LedgerProcess]:
    plan = Plan(writers=8, rate=1000.0, deadline=3.0)
    with LedgerProcess(Secret.literal(pgset.dsn), folder / "ledger", plan) as writing:
        writing.ready(Deadline.after(20))
        time.sleep(0.5)
        yield writing


def read_back(writing: LedgerProcess) -> Report:
    writing.stop()
    return writing.verify(Deadline.after(20))


def checks(said: dict[str, list[dict[str, str]]]) -> set[str]:
    return {each["check"] for each in said["reasons"]}


def test_without_synchronous_standbys_it_is_refused_and_really_loses(
    asynchronous: PgSet, tmp_path: Path
) -> None:
    """The negative control: log that was not sent is lost, and the ledger counts it."""
    pgset = asynchronous
    assert pgset.run("status").returncode == 0
    with ledger(pgset, tmp_path) as writing:
        senders = [r[0] for r in pgset["a"].sql("select pid from pg_stat_replication")]
        for pid in senders:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(0.5)
        pgset["a"].kill()
        code, said = pgset.sre("failover", "orders")
        assert (code, checks(said)) == (5, {"data-loss"})
        assert pgset.primaries() == []
        reason = "the drill wants it"
        code, said = pgset.sre("failover", "orders", "--accept-data-loss", reason)
        assert (code, said["outcome"]) == (0, "ok"), said
        report = read_back(writing)
    assert said["loss"]["seconds"] > 0
    assert reason in said["warnings"][-1]["text"] + str(said["warnings"])
    assert report.verdict is not None
    assert report.verdict.lost > 0
    kept = pgset.sre("rejoin", "orders", "a")[1]["noted"]["save"]
    assert kept["diverged"]
    assert Path(kept["kept"]).is_dir()


def test_two_nodes_of_sixteen_go_on_alone_and_wait_again_once_copied_anew(tmp_path: Path) -> None:
    """Without hints there is no rewinding; with one node left there is nobody to wait for."""
    with running_set(
        "16", "ab", synchronous="ANY 1 (a, b)", settings="wal_log_hints = off\n"
    ) as two:
        for new in "ba":  # the old one is whom the new one waits for
            code, said = two.sre("switchover", "orders")
            assert (code, said["outcome"], said["new"]) == (0, "ok", new), said
        assert two.run("status").returncode == 0
        with ledger(two, tmp_path) as writing:
            two["a"].kill()
            code, said = two.sre("failover", "orders")
            assert (code, said["outcome"]) == (0, "ok"), said
            report = read_back(writing)
        assert report.verdict is not None
        assert report.verdict.lost == 0
        assert "unprotected" in {each["check"] for each in said["warnings"]}
        assert two["b"].sql("show synchronous_standby_names") == [("",)]
        code, said = two.sre("rejoin", "orders")
        assert (code, said["noted"]["rebuild"]["way"]) == (0, "pg_basebackup"), said
        assert two["b"].sql("select sync_state from pg_stat_replication") == [("quorum",)]
        left = sorted(path.name for path in two["a"].folder.iterdir())
        assert [name for name in left if name.startswith("data.sre")] == []


@pytest.mark.long
def test_the_synchronous_standby_gone_too_is_refused_until_it_is_accepted(tmp_path: Path) -> None:
    with running_set() as pgset:
        assert pgset.run("status").returncode == 0
        pgset["c"].kill()
        pgset["a"].kill()
        code, said = pgset.sre("failover", "orders")
        assert (code, checks(said)) == (5, {"quorum"})
        assert pgset.primaries() == []
        assert pgset.sre("failover", "orders", "--accept-data-loss", "c is gone")[0] == 0
        assert pgset.primaries() == ["b"]
        assert pgset.sre("fence", "orders", "c")[0] == 0
