"""Is nothing lost when Redis under sentinels changes its primary, whoever dies meanwhile?"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.failoverkit import checks
from tests.servers.net import wait_until
from tests.servers.redisledger import judged, more, writing
from tests.servers.redisset import REPO, RedisSet, running_redis_set


@pytest.fixture(scope="module")
def made() -> Iterator[RedisSet]:
    """One set for the whole module; every test leaves a whole one behind."""
    with running_redis_set() as found:
        yield found


@pytest.fixture
def shop(made: RedisSet) -> RedisSet:
    [primary] = made.primaries()
    made.whole(primary)
    made.declare()
    assert _traffic(made, primary)[0] == 0
    return made


@pytest.mark.parametrize("way", ["front", "sentinels"])
def test_a_switchover_under_load_loses_nothing(shop: RedisSet, tmp_path: Path, way: str) -> None:
    [old] = shop.primaries()
    new = "c" if old != "c" else "a"
    dsn = shop.dsn if way == "front" else shop.named
    with writing(dsn, tmp_path) as writers:
        code, done = shop.sre("switchover", "basket", "--to", new, "--confirm", old)
        assert (code, done["outcome"], done["new"]) == (0, "ok", new), done
        more(writers)
    found = judged(shop.dsn, tmp_path)
    assert found.verdict is not None
    assert (found.verdict.lost, found.good) == (0, True)
    assert found.gaps.longest is not None
    print(f"gap {way}: {found.gaps.longest.seconds * 1000:.0f} ms, {done['phases']}")
    assert found.gaps.longest.seconds < (1.5 if way == "front" else 6)
    assert shop.primaries() == [new]
    text = {name: node.config.read_text() for name, node in shop.nodes.items()}
    assert "replica-priority 0" not in "".join(text.values())
    assert f"replicaof 127.0.0.1 {shop[new].port}" in text[old]


def test_a_bare_sentinel_failover_loses_acknowledged_writes(shop: RedisSet, tmp_path: Path) -> None:
    """The negative control: what the ledger must see when nobody holds writes up."""
    [old] = shop.primaries()
    replicas = [node for name, node in shop.nodes.items() if name != old]
    sentinel = shop.sentinels["s0"]
    with writing(shop[old].dsn, tmp_path) as writers:
        for node in replicas:
            node.signal(signal.SIGSTOP)
        time.sleep(0.5)  # the fault: what is acknowledged now is on its way at best
        shop[old].tell("CLIENT", "KILL", "TYPE", "replica")
        for node in replicas:
            node.signal(signal.SIGCONT)
        sentinel.tell("SENTINEL", "FAILOVER", "shop")
        wait_until(lambda: old not in shop.primaries(), 30, "the old primary is demoted")
        more_written = writers.counts()
    found = judged(shop.named, tmp_path)
    assert found.verdict is not None
    assert found.verdict.lost > 0, more_written
    assert found.good is False
    with contextlib.suppress(ValueError):
        shop.whole(shop.primaries()[0])


def test_a_replica_that_does_not_catch_up_takes_the_switchover_back(
    shop: RedisSet, tmp_path: Path
) -> None:
    [old] = shop.primaries()
    new = "c" if old != "c" else "a"
    shop.declare(pause="300ms")
    process = None
    with writing(shop.dsn, tmp_path) as writers:
        argv = shop.argv("switchover", "basket", "--to", new, "--confirm", old, "--format", "json")
        process = subprocess.Popen(
            argv, env={**os.environ, **shop.env}, cwd=REPO, stdout=subprocess.PIPE, text=True
        )
        wait_until(lambda: _steered(shop, old, new), 20, "others are steered away")
        shop[new].signal(signal.SIGSTOP)
        try:
            out, _ = process.communicate(timeout=40)
        finally:
            shop[new].signal(signal.SIGCONT)
        more(writers)
    assert process.returncode == 1, out
    assert '"outcome": "rolled_back"' in out
    found = judged(shop.dsn, tmp_path)
    assert (found.good, found.counts.failed) == (True, 0)
    assert shop.primaries() == [old]
    for node in shop.nodes.values():
        assert node.tell("CONFIG", "GET", "replica-priority")[1] == "100"


def _steered(shop: RedisSet, old: str, new: str) -> bool:
    other = next(name for name in shop.nodes if name not in (old, new))
    return bool(shop[other].tell("CONFIG", "GET", "replica-priority")[1] == "0")


@pytest.mark.long
def test_who_is_killed_while_writes_wait_holds_nobody_up(shop: RedisSet, tmp_path: Path) -> None:
    """Killed between pause and promotion; writes come back by themselves, and it goes on."""
    [old] = shop.primaries()
    new = "c" if old != "c" else "a"
    shop.declare(pause="2s")
    with writing(shop.dsn, tmp_path) as writers:
        argv = shop.argv("switchover", "basket", "--to", new, "--confirm", old)
        process = subprocess.Popen(
            argv, env={**os.environ, **shop.env}, cwd=REPO, stdout=subprocess.DEVNULL
        )
        wait_until(lambda: _steered(shop, old, new), 20, "others are steered away")
        shop[new].signal(signal.SIGSTOP)  # so that it waits there
        try:
            journal = shop.home / "state" / "failover" / "basket"
            wait_until(lambda: any('"step": "pause"' in p.read_text() or '"step":"pause"'
                       in p.read_text() for p in journal.glob("*")), 20, "the pause")  # fmt: skip
            time.sleep(0.2)
            process.kill()
            process.wait(5)
        finally:
            shop[new].signal(signal.SIGCONT)
        more(writers)
        assert shop.primaries() == [old]
        code, refused = shop.sre("switchover", "basket", "--confirm", old)
        assert (code, refused["reasons"][0]["check"]) == (5, "unfinished")
        code, done = shop.sre("resume", "basket")
        assert (code, done["outcome"], done["new"]) == (0, "ok", new), done
        more(writers)
    found = judged(shop.dsn, tmp_path)
    assert found.good is True
    assert found.gaps.longest is not None
    assert found.gaps.longest.seconds < 4
    assert shop.primaries() == [new]


@pytest.mark.long
def test_sentinels_that_can_do_it_are_left_to_it_and_seen_truthfully(shop: RedisSet) -> None:
    [old] = shop.primaries()
    shop[old].signal(signal.SIGKILL)
    code, done = shop.sre("failover", "basket", "--confirm", old)
    assert (code, done["outcome"]) == (5, "refused")
    assert "sentinel-acts" in checks(done)
    wait_until(lambda: shop.primaries() and shop.primaries() != [old], 40, "the sentinels do it")
    [new] = shop.primaries()
    status = shop.sre("status")[1]["clusters"][0]
    roles = {each["name"]: each["role"] for each in status["nodes"]}
    assert (roles[old], roles[new]) == ("unknown", "primary")
    code, done = shop.sre("rejoin", "basket", old, "--confirm", old)
    assert (code, done["outcome"]) == (0, "ok"), done
    assert f"replicaof 127.0.0.1 {shop[new].port}" in shop[old].config.read_text()
    assert shop.primaries() == [new]
    problems = shop.sre("status")[1]["clusters"][0]["problems"]
    assert any(f"sre traffic repoint front {new}" in each for each in problems), problems


def _traffic(shop: RedisSet, to: str) -> tuple[int, str]:
    argv = [*shop.argv()[:3], "traffic", "repoint", "front", to, "--config", str(shop.config)]
    done = subprocess.run(
        argv, env={**os.environ, **shop.env}, cwd=REPO, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.mark.long
def test_without_a_quorum_we_do_it_and_say_what_may_be_lost(shop: RedisSet) -> None:
    [old] = shop.primaries()
    for name in ("s1", "s2"):
        os.kill(shop.processes[name].pid, signal.SIGSTOP)
    try:
        wait_until(lambda: "quorum" in str(shop.sre("status")[1]).lower(), 30, "no quorum")
        shop[old].signal(signal.SIGKILL)
        wait_until(lambda: "sentinel-acts" not in checks(shop.sre(
            "plan", "basket", "--action", "failover")[1]), 20, "it is ours")  # fmt: skip
        code, done = shop.sre("failover", "basket", "--confirm", old)
        assert (code, "data-loss" in checks(done)) == (5, True), done
        assert not shop[old].pids()
        code, done = shop.sre(
            "failover", "basket", "--confirm", old, "--accept-data-loss", "two sentinels are gone"
        )
        assert (code, done["outcome"]) == (0, "ok"), done
    finally:
        for name in ("s1", "s2"):
            os.kill(shop.processes[name].pid, signal.SIGCONT)
    assert shop.primaries() == [done["new"]]
    assert (shop[old].folder / "sre-fenced").exists()
    assert shop.sre("rejoin", "basket", old, "--confirm", old)[0] == 0
    shop.whole(done["new"])
