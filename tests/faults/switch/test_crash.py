"""A primary that dies, half dies, freezes, or comes back: is anything acknowledged lost?"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.faults.switch.stage import (
    as_wanted,
    battle,
    checks,
    heal,
    only,
    others,
    start_by_hand,
)
from tests.faults.switch.tool import broken_at
from tests.servers.net import wait_until
from tests.servers.pgset import PgSet

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(120)]


def allowed(pgset: PgSet) -> Any:
    """The failover's document; None as long as it is refused because it may live."""
    code, said = pgset.sre("failover", "orders")
    assert code == 0 or (code, checks(said)) == (5, {"primary-alive"}), said
    return said if code == 0 else None


def test_postmaster_alone_dies(pgset: PgSet, tmp_path: Path) -> None:
    """Its sessions go on for a while: nothing is acknowledged once the fence has ended."""
    old = only(pgset)
    postmaster = int((pgset[old].data / "postmaster.pid").read_text().split()[0])
    fenced: list[float] = []

    def look() -> None:
        assert pgset[old].pids() == ()
        fenced.append(time.monotonic())

    with battle(pgset, tmp_path) as field:
        os.kill(postmaster, signal.SIGKILL)
        code, said = broken_at(pgset, "end fence", look, "failover", "orders")
        assert (code, said["outcome"]) == (0, "ok"), said
        time.sleep(0.3)
        field.proven()
    seen = field.watch.seen[old]
    assert max(asked for asked, _ in seen) < fenced[0]
    as_wanted(pgset, heal(pgset))


@pytest.mark.long
def test_a_frozen_primary_that_wakes_cannot_acknowledge(pgset: PgSet, tmp_path: Path) -> None:
    """It wakes in the middle, before the fence: then it is killed, with all that it holds."""
    old = only(pgset)
    pids = pgset[old].pids()

    def wake() -> None:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)

    with battle(pgset, tmp_path) as field:
        pgset[old].signal(signal.SIGSTOP)
        time.sleep(3)  # its standbys must not have heard from it
        code, said = broken_at(pgset, "begin fence", wake, "failover", "orders")
        assert (code, said["outcome"]) == (0, "ok"), said
        time.sleep(0.3)
        field.proven()
    assert not set(pgset[old].pids()) & set(pids)
    with pytest.raises(psycopg.OperationalError):
        pgset[old].sql("select 1")
    as_wanted(pgset, heal(pgset))


@pytest.mark.long
@pytest.mark.parametrize("moment", ["end keep-down", "begin promote", "end repoint"])
def test_the_old_primary_is_started_by_hand_meanwhile(
    pgset: PgSet, tmp_path: Path, moment: str
) -> None:
    old = only(pgset)
    with battle(pgset, tmp_path) as field:
        pgset[old].kill()
        returns = lambda: start_by_hand(pgset, old)  # noqa: E731
        code, said = broken_at(pgset, moment, returns, "failover", "orders")
        assert (code, said["outcome"]) == (0, "ok"), said
        with pytest.raises((psycopg.errors.ReadOnlySqlTransaction, psycopg.OperationalError)):
            pgset[old].sql("create table forbidden ()")  # a standby, or not there at all
        time.sleep(0.2)
        field.proven()
    as_wanted(pgset, heal(pgset))


@pytest.mark.parametrize(
    "moment",
    [
        "begin promote",
        *(
            pytest.param(m, marks=pytest.mark.long)
            for m in ("end stop", "end verify", "end promote")
        ),
    ],
)
def test_in_a_switchover_the_stopped_one_is_started_by_hand(
    pgset: PgSet, tmp_path: Path, moment: str
) -> None:
    """Or by whatever watches over it: it must not become a second primary."""
    old = only(pgset)
    new = others(pgset, old)[0]
    with battle(pgset, tmp_path) as field:
        returns = lambda: start_by_hand(pgset, old)  # noqa: E731
        code, said = broken_at(pgset, moment, returns, "switchover", "orders", "--to", new)
        assert (code, said["outcome"]) in ((0, "ok"), (1, "rolled_back")), said
        wait_until(lambda: len(pgset.primaries()) == 1, 10, "one primary")
        time.sleep(0.2)
        field.proven()
    assert only(pgset) == (new if code == 0 else old)
    as_wanted(pgset, heal(pgset))
