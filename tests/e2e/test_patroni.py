"""Is a real Patroni cluster seen as it is, switched without loss, and mended, by the commands?"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.servers.net import wait_until
from tests.servers.patroni import PatroniSet, running_patroni

_CLUSTER = "orders"


@pytest.fixture(scope="module")
def patroni() -> Iterator[PatroniSet]:
    """Synchronous, with a short ttl: Patroni's own failover takes it."""
    with running_patroni(ttl=8) as made:
        yield made


@pytest.fixture
def whole(patroni: PatroniSet) -> Iterator[PatroniSet]:
    """The same, whole again whatever the test before left, with the usual declaration."""
    for each in patroni.members.values():
        each.signal(signal.SIGCONT)
        if not each.patronis():
            each.start()
    first = next(iter(patroni.members.values()))
    wait_until(lambda: first.patch(pause=None, synchronous_mode=True), 30, "Patroni")
    patroni.declare()
    patroni.sre("resume", "--abandon", "the test before left it")
    patroni.whole()
    yield patroni
    for each in patroni.members.values():
        each.signal(signal.SIGCONT)


class Writing:
    """Eight writers through the front door; what was acknowledged, and the longest time without."""

    def __init__(self, cluster: PatroniSet, writers: int = 8) -> None:
        self._dsn, self._stop = cluster.dsn, threading.Event()
        self._at: list[float] = []
        self.acknowledged: list[str] = []
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(writers)]

    def _run(self, number: int) -> None:
        count = 0
        while not self._stop.is_set():
            with (
                contextlib.suppress(psycopg.Error),
                psycopg.connect(self._dsn, autocommit=True, connect_timeout=2) as connection,
            ):
                while not self._stop.is_set():
                    count += 1
                    key = f"{number}-{count}-{id(self)}"
                    connection.execute("insert into kept values (%s)", [key])
                    self.acknowledged.append(key)
                    self._at.append(time.monotonic())
                    self._stop.wait(0.03)
            self._stop.wait(0.005)

    def __enter__(self) -> Writing:
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            connection.execute("create table if not exists kept (key text primary key)")
        for thread in self._threads:
            thread.start()
        wait_until(lambda: len(self.acknowledged) > 40, 20, "writes")
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            before = len(self.acknowledged)
            wait_until(lambda: len(self.acknowledged) > before + 20, 30, "writes go on")
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def gap(self) -> float:
        times = sorted(self._at)
        return max(after - before for before, after in itertools.pairwise(times))

    def lost(self, name: str, cluster: PatroniSet) -> set[str]:
        return set(self.acknowledged) - {row[0] for row in cluster[name].sql("select * from kept")}


def seen(cluster: PatroniSet, *names: str) -> list[dict[str, Any]]:
    """The nodes as `status` says."""
    _, document = cluster.sre("status")
    nodes = {each["name"]: each for each in document["clusters"][0]["nodes"]}
    return [nodes[name] for name in names]


def sync_of(cluster: PatroniSet) -> str:
    return next(name for name, row in cluster.cluster().items() if row["role"] == "sync_standby")


def checks(document: Any) -> set[str]:
    return {each["check"] for each in document["reasons"]}


def test_status_says_what_patroni_says(whole: PatroniSet) -> None:
    leader, sync = whole.leader(), sync_of(whole)
    code, document = whole.sre("status")
    assert code == 0, document
    cluster = document["clusters"][0]
    nodes = {each["name"]: each for each in cluster["nodes"]}
    assert {n: nodes[n]["role"] for n in nodes} == {
        name: "primary" if name == leader else "standby" for name in "abc"
    }
    assert nodes[leader]["writable"]
    assert nodes[sync]["synchronous"]
    timelines = {row["timeline"] for row in whole.cluster().values()}
    assert {each["timeline"] for each in nodes.values()} == timelines
    assert all(isinstance(each["position"], int) for each in nodes.values())
    assert cluster["open"] == {"front": [leader]}
    assert cluster["more"]["config"]["ttl"] == 8


def test_a_switchover_loses_nothing_and_traffic_follows(whole: PatroniSet) -> None:
    old, new = whole.leader(), sync_of(whole)
    other = next(each for each in "abc" if each not in (old, new))
    code, document = whole.sre("switchover", "--to", other)
    assert (code, checks(document)) == (5, {"synchronous"}), document
    assert whole.leader() == old, "nothing was touched"
    with Writing(whole) as ours:
        code, document = whole.sre("switchover", "--to", new, "--confirm", old)
    assert (code, document["outcome"], document["new"]) == (0, "ok", new), document
    assert "<secret>" not in str(document), "the user is `watch`, and `watchdog` stays a word"
    assert whole.leader() == new
    assert whole[old].sql("select pg_is_in_recovery()") == [(True,)]
    assert ours.lost(new, whole) == set()
    whole.whole()
    with Writing(whole) as theirs:
        patronictl(whole, new, sync_of(whole))
    print(f"write gap: ours {ours.gap():.2f} s, patronictl's {theirs.gap():.2f} s")
    assert ours.gap() < 20


def patronictl(cluster: PatroniSet, leader: str, candidate: str) -> None:
    """Patroni's own way."""
    config = cluster[leader].folder / "patroni.yml"
    argv = ["patronictl", "-c", str(config), "switchover", cluster.scope, "--force"]
    argv += ["--master", leader, "--candidate", candidate]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    wait_until(lambda: cluster.leader() == candidate and cluster.through(), 20, "patronictl")


def test_a_wrong_login_changes_nothing(whole: PatroniSet) -> None:
    leader = whole.leader()
    secret = "not-the-password"
    code, document = whole.sre("switchover", env={"PATRONI_PASSWORD": secret})
    assert (code, document["outcome"]) == (1, "rolled_back"), document
    assert "user: and password:" in document["reasons"][0]["text"]
    assert secret not in str(document)
    code, text = whole.sre("pause", env={"PATRONI_PASSWORD": secret})
    assert code == 1, text
    assert whole.leader() == leader
    assert not whole[leader].get("/patroni").get("pause")


def test_pause_is_heard_by_everybody_and_taken_back(whole: PatroniSet) -> None:
    code, document = whole.sre("pause", "--reason", "a new kernel")
    assert (code, document["nodes"]) == (0, {"a": True, "b": True, "c": True})
    assert all(each.get("/patroni")["pause"] for each in whole.members.values())
    code, document = whole.sre("status")
    assert code == 3
    assert "a new kernel" in " ".join(document["clusters"][0]["problems"])
    code, plan = whole.sre("plan")
    assert code == 0
    assert "paused" in {each["check"] for each in plan["warnings"]}
    assert whole.sre("pause")[1]["changed"] is False
    code, document = whole.sre("unpause")
    assert (code, document["nodes"]) == (0, {"a": False, "b": False, "c": False})
    assert whole.sre("status")[0] == 0


def test_status_is_true_while_patroni_fails_over_by_itself(whole: PatroniSet) -> None:
    old, sync = whole.leader(), sync_of(whole)
    with Writing(whole, 2) as writing:
        whole[old].kill()
        died = time.monotonic()
        code, document = whole.sre("failover")
        assert code == 5, document
        assert checks(document) <= {"leader-key", "patroni-decides"}, "Patroni comes first"
        while True:
            _, document = whole.sre("status")
            cluster = document["clusters"][0]
            primaries = [each["name"] for each in cluster["nodes"] if each["role"] == "primary"]
            assert primaries in ([], [sync]), cluster
            dead = next(each for each in cluster["nodes"] if each["name"] == old)
            assert not dead["reachable"]
            if primaries and cluster["open"] == {"front": [sync]}:
                break
            assert time.monotonic() - died < 40
        wait_until(whole.through, 10, "writes again")
    assert writing.lost(sync, whole) == set()
    code, document = whole.sre("plan", "--action", "failover")
    assert (code, checks(document)) == (5, {"primary-alive"})
    code, document = whole.sre("rejoin", old)
    assert (code, checks(document)) == (5, {"control"}), "nothing says how Patroni is started"


@pytest.mark.long
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


def scripts(cluster: PatroniSet, name: str) -> dict[str, str]:
    """How Patroni of a node is ended and started, without a unit: there is no systemd here."""
    yml = cluster[name].folder / "patroni.yml"
    end = f"for f in /proc/[0-9]*; do tr '\\0' ' ' <$f/cmdline | grep -q '^[^ ]*python.* {yml} $'"
    begin = f"setsid patroni {yml} >/dev/null 2>&1 </dev/null &"
    stop, start = cluster.home / f"stop-{name}", cluster.home / f"start-{name}"
    stop.write_text(f"#!/bin/sh\n{end} && kill -9 ${{f#/proc/}}; done 2>/dev/null; exit 0\n")
    start.write_text(f"#!/bin/sh\n{begin}\n")
    for each in (stop, start):
        each.chmod(0o755)
    return {f"{name}__stop": f"[{stop}]", f"{name}__start": f"[{start}]"}


@pytest.mark.long
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


@pytest.mark.long
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


@pytest.mark.long
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


@pytest.mark.long
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


@pytest.mark.long
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
