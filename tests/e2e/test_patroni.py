"""Is a real Patroni cluster seen as it is, switched without loss and paused, by the commands?"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from tests.e2e.patronikit import Writing, checks, made_whole, patronictl, sync_of
from tests.servers.net import wait_until
from tests.servers.patroni import PatroniSet, running_patroni


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
