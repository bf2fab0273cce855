"""Does a real set of PostgreSQL servers change its primary without losing what was acknowledged?"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sre.core.clock import Deadline
from sre.core.secrets import Secret
from sre.failover.control.local import LocalControl
from sre.sql.ledger.model import Plan, Report
from sre.sql.ledger.process import LedgerProcess
from tests.servers.net import free_port, wait_until
from tests.servers.pgbouncer import running_pgbouncer
from tests.servers.pgset import PgSet, running_set


@pytest.fixture(scope="module")
def one_set() -> Iterator[PgSet]:
    with running_set(slots=True) as found:
        yield found


@pytest.fixture
def pgset(one_set: PgSet, monkeypatch: pytest.MonkeyPatch) -> PgSet:
    """All three at work; whoever is primary."""
    for name, value in one_set.env.items():
        monkeypatch.setenv(name, value)
    one_set.declare()
    one_set.whole(only(one_set))
    return one_set


def only(pgset: PgSet) -> str:
    (found,) = pgset.primaries()
    return found


def others(pgset: PgSet) -> list[str]:
    return sorted(set(pgset.nodes) - {only(pgset)})


@contextlib.contextmanager
def ledger(pgset: PgSet, folder: Path) -> Iterator[LedgerProcess]:
    plan = Plan(table=f"led_{folder.name}", deadline=3.0)
    with LedgerProcess(Secret.literal(pgset.dsn), folder / "ledger", plan) as writing:
        writing.ready(Deadline.after(20))
        time.sleep(0.5)
        yield writing


def proven(writing: LedgerProcess) -> Report:
    time.sleep(0.5)
    writing.stop()
    report = writing.verify(Deadline.after(20))
    assert report.verdict is not None
    assert (report.verdict.lost, report.verdict.unexpected) == (0, 0)
    assert report.counts.acknowledged > 100
    return report


def as_wanted(pgset: PgSet, new: str) -> None:
    """One primary, all others follow it, traffic goes to it alone in run time and file."""
    assert pgset.primaries() == [new]
    pgset.whole(new)
    wanted = {name: "open/open" if name == new else "closed/closed" for name in pgset.nodes}
    assert pgset.states() == wanted
    rows = pgset[new].sql("select sync_state from pg_stat_replication")
    assert {row[0] for row in rows} == {"quorum"}
    for name in set(pgset.nodes) - {new}:
        assert pgset[name].sql("show wal_retrieve_retry_interval") == [("5s",)]


def checks(found: Any) -> set[str]:
    return {each["check"] for each in found["reasons"]}


def test_a_switchover_loses_nothing_and_leaves_everything_in_order(
    pgset: PgSet, tmp_path: Path
) -> None:
    old, new = only(pgset), others(pgset)[0]
    with ledger(pgset, tmp_path) as writing:
        code, said = pgset.sre("switchover", "orders", "--to", new)
        report = proven(writing)
    assert (code, said["outcome"], said["old"], said["new"]) == (0, "ok", old, new)
    as_wanted(pgset, new)
    assert report.gaps.longest is not None
    assert report.gaps.longest.seconds < 3.0  # the bar is 0.4 s; a busy machine is no failure
    slots = pgset[old].sql("select slot_name from pg_replication_slots")
    assert slots == []  # a standby would hold log for them for ever


def test_clients_of_pgbouncer_see_a_delay_and_no_error(pgset: PgSet, tmp_path: Path) -> None:
    old, new = only(pgset), others(pgset)[0]
    with running_pgbouncer(pgset.front, pgset.password) as bouncer:
        pgset.more["pool"] = '{kind: pgbouncer, admin: "${env:POOL}", database: shop}'
        pgset.declare()
        plan = Plan(table="led_pool", deadline=5.0)
        with LedgerProcess(Secret.literal(bouncer.dsn), tmp_path / "ledger", plan) as writing:
            writing.ready(Deadline.after(20))
            time.sleep(0.5)
            env = {"POOL": bouncer.admin}
            code, said = pgset.sre("switchover", "orders", "--to", new, env=env)
            report = proven(writing)
    pgset.more.clear()
    pgset.declare()
    assert (code, said["outcome"], said["old"]) == (0, "ok", old), said
    assert (report.counts.failed, report.counts.ambiguous) == (0, 0)
    as_wanted(pgset, new)


def test_nothing_secret_is_written_down(pgset: PgSet) -> None:
    """In journals, facts, and statements; the server itself tells its log of a changed setting."""
    new = others(pgset)[0]
    done = pgset.run("switchover", "orders", "--to", new)
    assert done.returncode == 0
    kept = [path for path in (pgset.home / "state").rglob("*") if path.is_file()]
    logs = [node.folder / "data.log" for node in pgset.nodes.values()]
    assert kept
    for path in (*kept, *logs):
        lines = path.read_text(errors="replace").splitlines()
        own = [each for each in lines if 'parameter "primary_conninfo" changed' not in each]
        assert [each for each in own if pgset.password in each] == [], path
    assert pgset.password not in done.stdout + done.stderr


def test_a_node_that_is_killed_is_replaced_rewound_and_cannot_come_back_as_primary(
    pgset: PgSet, tmp_path: Path
) -> None:
    old = only(pgset)
    assert pgset.run("status").returncode == 0
    with ledger(pgset, tmp_path) as writing:
        pgset[old].kill()
        code, said = pgset.sre("failover", "orders", "--confirm", old)
        proven(writing)
    assert (code, said["outcome"], said["old"]) == (0, "ok", old)
    new = said["new"]
    refused = pgset.sre("failover", "orders")
    assert refused[0] == 5
    started_by_hand(pgset, old)
    assert pgset.primaries() == [new]
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        pgset[old].sql("create table forbidden ()")
    code, said = pgset.sre("rejoin", "orders", old)
    assert (code, said["outcome"]) == (0, "ok"), said
    assert pgset.run("ack").returncode == 0
    as_wanted(pgset, new)


def started_by_hand(pgset: PgSet, name: str) -> None:
    """Past everything of ours: as somebody does who knows nothing of the failover."""
    node = pgset[name]
    done = LocalControl().run(
        node.service,
        [str(node.programs / "pg_ctl"), "-D", str(node.data), "-l", f"{node.data}.log", "start"],
        Deadline.after(20),
    )
    assert done.ok, done.stderr
    wait_until(lambda: node.sql("select 1"), 20, f"{name} answers")


@pytest.mark.long
def test_a_frozen_primary_is_replaced_and_cannot_acknowledge_afterwards(
    pgset: PgSet, tmp_path: Path
) -> None:
    old = only(pgset)
    assert pgset.run("status").returncode == 0
    pids = pgset[old].pids()
    with ledger(pgset, tmp_path) as writing:
        pgset[old].signal(signal.SIGSTOP)
        found = wait_until(lambda: allowed(pgset), 30, "a failover is allowed")
        assert found["outcome"] == "ok"
        proven(writing)
    assert not set(pgset[old].pids()) & set(pids)
    assert pgset.sre("rejoin", "orders")[0] == 0
    assert pgset.run("ack").returncode == 0
    as_wanted(pgset, found["new"])


def allowed(pgset: PgSet) -> Any:
    code, said = pgset.sre("failover", "orders")
    assert code in (0, 5), said
    return said if code == 0 else None


@pytest.mark.long
def test_a_node_that_its_control_does_not_reach_needs_its_fence_program(
    pgset: PgSet, tmp_path: Path
) -> None:
    old = only(pgset)
    assert pgset.run("status").returncode == 0
    nowhere = f"{{kind: ssh, host: 127.0.0.1, port: {free_port()}}}"
    done, program = tmp_path / "done", tmp_path / "fence"
    program.write_text(f'#!/bin/sh\n[ ! -e {tmp_path}/broken ] || exit 1\necho "$1" >{done}\n')
    program.chmod(0o755)
    (tmp_path / "broken").touch()
    pgset[old].kill()
    pgset.declare(**{f"{old}__control": nowhere})
    code, said = pgset.sre("failover", "orders")
    assert (code, checks(said)) == (5, {"fence"})
    pgset.declare(**{f"{old}__control": nowhere, f"{old}__fence": f"[{program}, --off]"})
    code, said = pgset.sre("failover", "orders")
    assert (code, said["outcome"]) == (1, "rolled_back"), said  # it did not do it
    assert pgset.primaries() == []
    (tmp_path / "broken").unlink()
    code, said = pgset.sre("failover", "orders")
    assert (code, said["outcome"]) == (0, "ok"), said
    assert done.read_text() == "--off\n"
    pgset.declare()
    assert pgset.sre("rejoin", "orders", old)[0] == 0
    assert pgset.run("ack").returncode == 0
    as_wanted(pgset, said["new"])


def test_while_standbys_hear_the_primary_there_is_no_failover(pgset: PgSet) -> None:
    old = only(pgset)
    code, said = pgset.sre("failover", "orders")
    assert code == 5
    assert "primary-alive" in checks(said)
    as_wanted(pgset, old)


def test_a_paused_replay_refuses_and_changes_nothing(pgset: PgSet) -> None:
    old, new = only(pgset), others(pgset)[0]
    before = state_of(pgset)
    pgset[new].sql("select pg_wal_replay_pause()")
    try:
        code, said = pgset.sre("switchover", "orders", "--to", new)
        assert (code, checks(said)) == (5, {"replay-paused"})
    finally:
        pgset[new].sql("select pg_wal_replay_resume()")
    assert state_of(pgset) == before
    as_wanted(pgset, old)


def state_of(pgset: PgSet) -> list[bytes]:
    """What an operation may change: configurations of the servers and of HAProxy."""
    files = [node.data / "postgresql.auto.conf" for node in pgset.nodes.values()]
    return [each.read_bytes() for each in [*files, pgset.haproxy]]


def test_prepared_transactions_refuse(pgset: PgSet) -> None:
    old, new = only(pgset), others(pgset)[0]
    with psycopg.connect(pgset[old].dsn, autocommit=True) as connection:
        connection.execute("begin; create table prepared (); prepare transaction 'odd'")
    try:
        code, said = pgset.sre("switchover", "orders", "--to", new)
        assert (code, checks(said)) == (5, {"prepared-transactions"})
    finally:
        pgset[old].sql("rollback prepared 'odd'")


def test_nodes_that_are_not_meant_refuse(pgset: PgSet) -> None:
    old, new = only(pgset), others(pgset)[0]
    assert checks(pgset.sre("switchover", "orders", "--to", old)[1]) == {"same-node"}
    assert checks(pgset.sre("switchover", "orders", "--to", "x")[1]) == {"unknown-node"}
    assert pgset.sre("switchover", "orders", "--to", new, "--confirm", new)[0] == 5
    as_wanted(pgset, old)


def test_a_standby_that_says_nothing_refuses(pgset: PgSet) -> None:
    old, new = only(pgset), others(pgset)[0]
    pgset.declare(max_lag="1MiB")
    pgset[new].signal(signal.SIGSTOP)
    try:
        pgset[old].sql(
            "create table filler as select repeat('x', 1000) from generate_series(1, 3000)"
        )
        code, said = pgset.sre("switchover", "orders", "--to", new)
        assert (code, checks(said)) == (5, {"no-standby"})  # frozen: it says nothing at all
    finally:
        pgset[new].signal(signal.SIGCONT)
    pgset[old].sql("drop table filler")
    assert pgset.primaries() == [old]


def test_a_switch_whose_file_differs_refuses(pgset: PgSet) -> None:
    new = others(pgset)[0]
    text = pgset.haproxy.read_text()
    pgset.haproxy.write_text(text.replace(" disabled", ""))
    try:
        code, said = pgset.sre("switchover", "orders", "--to", new)
        assert (code, checks(said)) == (5, {"traffic"})
    finally:
        pgset.haproxy.write_text(text)


@pytest.mark.long
def test_a_standby_that_hangs_while_the_primary_stops_is_taken_back(pgset: PgSet) -> None:
    """The candidate freezes in the middle: the old primary serves again, nothing is lost."""
    old, new = only(pgset), others(pgset)[0]
    before = state_of(pgset)[-1]
    with frozen_at(pgset, new, "checkpoint"):
        code, said = pgset.sre("switchover", "orders", "--to", new)
    assert (code, said["outcome"]) in {(1, "rolled_back"), (8, "incomplete")}, said
    if code == 8:
        assert pgset.sre("resume", "orders", "--rollback")[0] in (0, 1, 8)
    wait_until(lambda: pgset.primaries() == [old], 20, "the old primary serves")
    pgset[old].sql("create table served (); drop table served")
    assert pgset.haproxy.read_bytes() == before
    pgset.whole(old)


@contextlib.contextmanager
def frozen_at(pgset: PgSet, name: str, step: str) -> Iterator[None]:
    """Freeze a node as soon as the journal says that a step has begun."""
    ended = threading.Event()
    known = set((pgset.home / "state" / "failover" / "orders").glob("*.jsonl"))

    def look() -> None:
        while not ended.is_set():
            fresh = set((pgset.home / "state" / "failover" / "orders").glob("*.jsonl")) - known
            if any(f'"step":"{step}"' in p.read_text().replace(" ", "") for p in fresh):
                pgset[name].signal(signal.SIGSTOP)
                return
            time.sleep(0.001)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        pgset[name].signal(signal.SIGCONT)


def test_a_frozen_standby_holds_no_switchover_up(pgset: PgSet) -> None:
    """The old primary would wait for its last word for `wal_sender_timeout`, a minute."""
    old = only(pgset)
    new, frozen = others(pgset)
    pgset[frozen].signal(signal.SIGSTOP)
    try:
        code, said = pgset.sre("switchover", "orders", "--to", new, "--confirm", old)
        assert (code, said["outcome"]) == (0, "ok")
        assert said["phases"]["total"] < 20
        assert [each["check"] for each in said["warnings"]].count("left-behind") == 1
    finally:
        pgset[frozen].signal(signal.SIGCONT)
    code, said = pgset.sre("rejoin", "orders", frozen)
    assert (code, said["outcome"]) == (0, "ok")
    as_wanted(pgset, new)
