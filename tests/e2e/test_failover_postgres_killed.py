"""Killed after any line of its journal, does the tool come to the same end when it is resumed?"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.servers.pgset import REPO, PgSet, running_set

_KILLED = """
import os, signal, sys
from sre.failover.operation.record import Record
whole, left = Record.add, [int(sys.argv.pop(1))]
def add(self, *args, **more):
    whole(self, *args, **more)
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
Record.add = add
from sre.cli.main import main
main()
"""


@pytest.fixture(scope="module")
def pgset() -> Iterator[PgSet]:
    with running_set(slots=True) as found:
        yield found


def killed(pgset: PgSet, number: int, *args: str) -> bool:
    """Run `sre failover`, killed after that line of the journal; False: it ended before."""
    argv = [sys.executable, "-c", _KILLED, str(number), "failover", *args]
    done = subprocess.run(
        [*argv, "--config", str(pgset.config)], env={**os.environ, **pgset.env}, cwd=REPO,
        capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert done.returncode in (0, -9), done.stdout + done.stderr
    return done.returncode == -9


def as_wanted(pgset: PgSet, new: str) -> None:
    assert pgset.primaries() == [new]
    pgset.whole(new)
    wanted = {name: "open/open" if name == new else "closed/closed" for name in pgset.nodes}
    assert pgset.states() == wanted
    states = pgset[new].sql("select sync_state from pg_stat_replication")
    assert {row[0] for row in states} == {"quorum"}
    for node in pgset.nodes.values():
        assert node.sql("show wal_retrieve_retry_interval") == [("5s",)]


def switch_over(pgset: PgSet, number: int) -> bool:
    (old,) = pgset.primaries()
    new = next(each for each in pgset.nodes if each != old)
    pgset[old].sql("create table if not exists kept (n int)")
    pgset[old].sql(f"insert into kept values ({number})")
    died = killed(pgset, number, "switchover", "orders", "--to", new)
    if died:
        code, said = pgset.sre("resume", "orders")
        if number == lines(pgset) - 1 and code == 2:
            return died  # it was killed after its last line
        assert (code, said["outcome"]) == (0, "ok"), said
    as_wanted(pgset, new)
    assert pgset[new].sql(f"select count(*) from kept where n = {number}") == [(1,)]
    pgset[new].sql("delete from kept")
    return died


def lines(pgset: PgSet) -> int:
    """How many lines the newest journal has, and one."""
    newest = max((pgset.home / "state" / "failover" / "orders").glob("*.jsonl"))
    return len(newest.read_text().splitlines()) + 1


@pytest.mark.parametrize("number", [7, 12])
def test_a_switchover(pgset: PgSet, number: int) -> None:
    """In the stop, in the promotion."""
    assert switch_over(pgset, number)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_switchover_at_every_line(pgset: PgSet) -> None:
    number = 1
    while switch_over(pgset, number):
        number += 1
    assert number > 20


def fail_over(pgset: PgSet, number: int) -> bool:
    (old,) = pgset.primaries()
    assert pgset.run("status").returncode == 0
    pgset[old].kill()
    died = killed(pgset, number, "failover", "orders")
    if died:
        code, said = pgset.sre("resume", "orders")
        assert code == 2 or (code, said["outcome"]) == (0, "ok"), said
    (new,) = pgset.primaries()
    assert new != old
    code, said = pgset.sre("rejoin", "orders", old)
    assert (code, said["outcome"]) == (0, "ok"), said
    pgset.run("ack")
    as_wanted(pgset, new)
    return died


@pytest.mark.parametrize("number", [11])
def test_a_failover(pgset: PgSet, number: int) -> None:
    """In the promotion."""
    assert fail_over(pgset, number)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_failover_at_every_line(pgset: PgSet) -> None:
    number = 1
    while fail_over(pgset, number):
        number += 1
    assert number > 16


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_rejoin_at_every_line(pgset: PgSet) -> None:
    number, died = 1, True
    while died:
        (old,) = pgset.primaries()
        assert pgset.run("status").returncode == 0
        pgset[old].kill()
        assert pgset.sre("failover", "orders")[0] == 0
        (new,) = pgset.primaries()
        died = killed(pgset, number, "rejoin", "orders", old)
        if died:
            code, said = pgset.sre("resume", "orders")
            assert code == 2 or (code, said["outcome"]) == (0, "ok"), said
        pgset.run("ack")
        as_wanted(pgset, new)
        number += 1
    assert number > 14
