"""What if a standby is behind, says nothing, or is gone, and what if a wait is cut short?"""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import psycopg
import pytest

from tests.faults.switch.stage import as_wanted, battle, checks, heal, only, others, quick
from tests.faults.switch.tool import tool
from tests.servers.net import wait_until
from tests.servers.pgset import PgSet

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(120)]


def receiver(pgset: PgSet, name: str) -> int:
    return int(pgset[name].sql("select pid from pg_stat_wal_receiver")[0][0])


def test_a_commit_whose_wait_was_cut_short_is_ambiguous(pgset: PgSet, tmp_path: Path) -> None:
    """PostgreSQL answers success and a warning; the row is on the old primary alone, and is lost
    with it. Nobody may have counted it as acknowledged."""
    old = only(pgset)
    stopped = [receiver(pgset, name) for name in others(pgset, old)]
    with battle(pgset, tmp_path, deadline=4.0) as field:
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        waiting = "from pg_stat_activity where wait_event = 'SyncRep'"
        wait_until(lambda: pgset[old].sql(f"select 1 {waiting}"), 10, "commits wait")
        time.sleep(0.3)
        cancelled = pgset[old].sql(f"select pg_cancel_backend(pid) {waiting}")
        time.sleep(0.2)
        pgset[old].kill()
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
        code, said = quick(pgset, "failover", "orders")
        assert (code, said["outcome"]) == (0, "ok"), said
        time.sleep(0.3)
        report = field.proven()
    assert cancelled
    assert report.counts.ambiguous >= len(cancelled)
    as_wanted(pgset, heal(pgset))


@pytest.mark.long
def test_of_two_standbys_the_one_with_less_is_not_taken(pgset: PgSet, tmp_path: Path) -> None:
    """One does not receive, though it is listed first; whoever names it is refused."""
    old = only(pgset)
    slow, good = others(pgset, old)
    stopped = receiver(pgset, slow)
    with battle(pgset, tmp_path) as field:
        os.kill(stopped, signal.SIGSTOP)
        pgset[old].sql("create table if not exists big (t text)")
        pgset[old].sql("insert into big select repeat(md5(n::text), 20) from "
                       "generate_series(1, 20000) n")  # fmt: skip
        time.sleep(0.5)
        pgset[old].kill()
        code, said = quick(pgset, "failover", "orders", "--to", slow)
        assert code == 5, said
        assert checks(said) & {"behind", "primary-alive", "quorum"}, said
        os.kill(stopped, signal.SIGCONT)
        code, said = quick(pgset, "failover", "orders")
        assert (code, said["outcome"], said["new"]) == (0, "ok", good), said
        time.sleep(0.3)
        field.proven()
    as_wanted(pgset, heal(pgset))


@pytest.mark.long
def test_a_standby_whose_replay_is_paused(pgset: PgSet, tmp_path: Path) -> None:
    """It is not chosen while another has as much, and clients do not wait for it."""
    old = only(pgset)
    paused, good = others(pgset, old)
    with battle(pgset, tmp_path) as field:
        pgset[paused].sql("select pg_wal_replay_pause()")
        time.sleep(0.3)
        pgset[old].kill()
        wait_until(lambda: not pgset[old].pids(), 10, "it is gone")
        code, said = quick(pgset, "failover", "orders", "--to", paused)
        assert code == 5, said
        assert "replay-paused" in checks(said)
        code, said = quick(pgset, "failover", "orders")
        assert (code, said["outcome"], said["new"]) == (8, "incomplete", good), said
        assert checks(said) >= {"follow"}, said  # a paused one cannot follow; clients can write
        assert "replay-paused" in {each["check"] for each in said["warnings"]}
        time.sleep(0.3)
        field.proven()
    as_wanted(pgset, heal(pgset))


@pytest.mark.long
def test_primary_and_standby_gone_is_refused_with_a_bound(pgset: PgSet) -> None:
    """Nobody can tell whether the one that is left has everything: that takes somebody's word."""
    old = only(pgset)
    assert quick(pgset, "status")[0] == 0
    gone, left = others(pgset, old)
    pgset[gone].kill()
    pgset[old].kill()
    code, said = quick(pgset, "failover", "orders")
    assert (code, checks(said)) == (5, {"quorum"}), said
    assert said["loss"]["bytes"] is not None or said["loss"]["seconds"] is not None
    shown = pgset.run("failover", "--dry-run", "orders")
    assert shown.returncode == 5
    assert "accept-data-loss" in shown.stdout
    assert pgset.primaries() == []
    code, said = quick(pgset, "failover", "orders", "--accept-data-loss", "both burnt")
    assert (code, said["outcome"], said["new"]) == (0, "ok", left), said
    as_wanted(pgset, heal(pgset))


@pytest.mark.parametrize("seconds", ["86400", "-86400"])
@pytest.mark.long
def test_the_clock_of_the_tool_jumps(pgset: PgSet, seconds: str) -> None:
    """What it says of its own time is from a clock that does not jump."""
    old = only(pgset)
    assert quick(pgset, "status")[0] == 0
    pgset[old].kill()
    began = time.monotonic()
    with tool(pgset, "failover", "orders", at="end fence", what=seconds) as running:
        code, said = running.end()
    spent = time.monotonic() - began
    assert (code, said["outcome"]) == (0, "ok"), said
    assert all(0 <= value <= spent for value in said["phases"].values()), said["phases"]
    assert quick(pgset, "history")[0] == 0
    as_wanted(pgset, heal(pgset))


@pytest.mark.long
def test_whoever_writes_past_the_tool_waits_for_ever(pgset: PgSet) -> None:
    """The oracle's oracle: with both standbys gone, a commit is not acknowledged at all."""
    old = only(pgset)
    for name in others(pgset, old):
        pgset[name].kill()
    with psycopg.connect(pgset[old].dsn, autocommit=True) as connection:
        ended: list[bool] = []

        def write() -> None:
            try:
                connection.execute("create table if not exists alone ()")
                ended.append(True)
            except psycopg.Error:
                ended.append(False)

        thread = threading.Thread(target=write, daemon=True)
        thread.start()
        thread.join(1.0)
        assert not ended
        pgset[old].kill()
        thread.join(5)
    assert ended == [False]
    pgset[old].start()
    as_wanted(pgset, heal(pgset))
