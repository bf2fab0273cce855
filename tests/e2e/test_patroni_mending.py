"""Is a real Patroni cluster mended and fenced, and left alone where that is unsafe? (long)"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.e2e.patronikit import checks, made_whole, scripts, seen, sync_of
from tests.servers.net import wait_until
from tests.servers.patroni import PatroniSet, running_patroni

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def patroni() -> Iterator[PatroniSet]:
    """Synchronous, with a short ttl: Patroni's own failover takes it."""
    with running_patroni(ttl=8) as made:
        yield made


@pytest.fixture
def whole(patroni: PatroniSet) -> Iterator[PatroniSet]:
    """The same, whole again whatever the test before left, with the usual declaration."""
    made_whole(patroni)
    yield patroni
    for each in patroni.members.values():
        each.signal(signal.SIGCONT)


def test_a_member_that_cannot_start_is_copied_anew(whole: PatroniSet) -> None:
    leader = whole.leader()
    name = next(each for each in "abc" if each not in (leader, sync_of(whole)))
    assert whole.sre("rejoin", name)[0] == 5, "it streams already"
    whole[name].kill()
    (whole[name].data / "global" / "pg_control").write_bytes(b"nothing that could be read")
    whole[name].start()
    broken = lambda: any("not-running" in p for p in seen(whole, name)[0]["problems"])  # noqa: E731
    wait_until(broken, 30, "a broken member")
    code, document = whole.sre("rejoin")
    assert (code, document["new"]) == (0, name), document
    node = seen(whole, name)[0]
    assert (node["role"], node["state"]) == ("standby", "streaming")
    assert node["timeline"] == seen(whole, leader)[0]["timeline"]


def test_in_pause_a_dead_leader_is_fenced_and_another_one_asked_for(whole: PatroniSet) -> None:
    old, sync = whole.leader(), sync_of(whole)
    assert whole.sre("pause")[0] == 0
    os.kill(whole[old].patronis()[0], signal.SIGKILL)  # PostgreSQL goes on, with nobody above it
    gone = lambda: whole.sre("status")[1]["clusters"][0]["more"]["unlocked"]  # noqa: E731
    wait_until(gone, 30, "the leader's key to run out")
    assert whole[old].sql("select pg_is_in_recovery()") == [(False,)], "a leader without a key"
    problems = seen(whole, old)[0]["problems"]
    assert any(each.startswith("not-led") for each in problems), problems
    code, document = whole.sre("failover")
    assert (code, checks(document)) == (5, {"fence"}), document
    whole.declare(**scripts(whole, old))
    code, document = whole.sre("failover", "--confirm", old)
    assert (code, document["outcome"], document["new"]) == (0, "ok", sync), document
    assert document["loss"] is None
    with pytest.raises(psycopg.OperationalError):
        whole[old].sql("select 1")
    assert whole.leader() == sync
    assert whole.sre("unpause")[0] == 0
    assert whole.sre("ack")[0] == 0
    code, document = whole.sre("rejoin", old)
    assert code == 0, document
    assert seen(whole, old)[0]["state"] == "streaming"


def test_a_node_is_fenced_with_its_patroni(whole: PatroniSet) -> None:
    name = next(each for each in "abc" if each not in (whole.leader(), sync_of(whole)))
    code, document = whole.sre("fence", name)
    assert (code, checks(document)) == (5, {"fence"}), "nothing says how its Patroni is ended"
    whole.declare(**{f"{name}__stop": "['true']"})
    code, document = whole.sre("fence", name)
    assert (code, document["outcome"]) == (1, "rolled_back"), "its Patroni lives on"
    assert "did not" in document["reasons"][0]["text"]
    whole.declare(**scripts(whole, name))
    code, document = whole.sre("fence", name)
    assert (code, document["outcome"]) == (0, "ok"), document
    assert whole[name].patronis() == []
    with pytest.raises(psycopg.OperationalError):
        whole[name].sql("select 1")
    code, document = whole.sre("rejoin", name)
    assert (code, document["outcome"]) == (0, "ok"), document


def test_without_synchronous_mode_loss_must_be_accepted(whole: PatroniSet) -> None:
    old = whole.leader()
    whole[old].patch(synchronous_mode=False)
    off = lambda: not any(r["role"] == "sync_standby" for r in whole.cluster().values())  # noqa: E731
    wait_until(off, 20, "asynchronous")
    assert whole.sre("pause")[0] == 0
    assert whole.sre("status")[0] == 3
    whole[old].kill()
    gone = lambda: whole.sre("status")[1]["clusters"][0]["more"]["unlocked"]  # noqa: E731
    wait_until(gone, 30, "the leader's key to run out")
    code, document = whole.sre("plan", "--action", "failover")
    assert (code, checks(document)) == (5, {"data-loss"}), document
    assert document["loss"]["seconds"] is not None
    code, document = whole.sre("plan", "--action", "failover", "--accept-data-loss", "the shop")
    assert code == 0, document


def test_a_frozen_leader_is_silent_and_nothing_is_asked_of_it(whole: PatroniSet) -> None:
    old = whole.leader()
    whole[old].signal(signal.SIGSTOP)
    began = time.monotonic()
    code, document = whole.sre("status")
    assert time.monotonic() - began < 12
    assert code == 1
    node = next(n for n in document["clusters"][0]["nodes"] if n["name"] == old)
    assert (node["reachable"], node["state"]) == (False, "silent")
    code, document = whole.sre("switchover")
    assert code == 5
    assert "no-primary" in checks(document)


def test_a_switchover_whose_tool_was_killed_is_gone_on_with(whole: PatroniSet) -> None:
    new = sync_of(whole)
    repo = Path(__file__).parents[2]
    argv = whole.argv("switchover")
    journal = whole.home / "state" / "failover" / "orders"
    before = set(journal.glob("*"))
    tool = subprocess.Popen(argv, env={**os.environ, **whole.env}, cwd=repo)
    wait_until(lambda: set(journal.glob("*")) - before, 20, "an operation")
    (record,) = set(journal.glob("*")) - before
    wait_until(lambda: '"request"' in record.read_text(), 20, "Patroni to be asked")
    tool.kill()
    tool.wait()
    assert whole.sre("switchover")[0] == 5, "somebody has to go on with it first"
    code, document = whole.sre("resume")
    assert (code, document["outcome"]) == (0, "ok"), document
    assert whole.leader() == new
