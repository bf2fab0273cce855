"""Is nothing lost when Redis without sentinels changes its primary, and is it said what may be?"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sre.core.clock import SystemClock
from sre.failover.engine import Wish
from sre.failover.job import Job
from sre.failover.model import Declared
from sre.failover.operation.record import Record
from sre.settings import load_settings
from tests.e2e.failoverkit import checks
from tests.servers.net import wait_until
from tests.servers.redisledger import judged, more, writing
from tests.servers.redisset import RedisSet, running_redis_set


@pytest.fixture(scope="module")
def made() -> Iterator[RedisSet]:
    with running_redis_set(sentinels=0) as found:
        yield found


@pytest.fixture
def basket(made: RedisSet) -> RedisSet:
    """Whole again, with traffic at its primary."""
    made.declare(calm="0s")
    [primary] = made.primaries()
    made.whole(primary)
    return made


def other(basket: RedisSet, old: str) -> str:
    return next(name for name in reversed(basket.nodes) if name != old)


def test_a_switchover_under_load_loses_nothing(basket: RedisSet, tmp_path: Path) -> None:
    [old] = basket.primaries()
    new = other(basket, old)
    with writing(basket.dsn, tmp_path) as writers:
        for to, confirm in ((new, old), (old, new)):
            code, done = basket.sre("switchover", "basket", "--to", to, "--confirm", confirm)
            assert (code, done["outcome"]) == (0, "ok"), done
            more(writers)
    found = judged(basket.dsn, tmp_path)
    assert (found.good, found.gaps.longest is not None) == (True, True)
    assert found.gaps.longest is not None
    print(f"gap: {found.gaps.longest.seconds * 1000:.0f} ms, {done['phases']}")
    assert found.gaps.longest.seconds < 1.0
    assert basket.primaries() == [old]


def test_every_write_that_was_waited_for_outlives_a_crash(basket: RedisSet, tmp_path: Path) -> None:
    """`wait: 2` of 2 replicas: one of them is enough. The fault before it: one is frozen."""
    [old] = basket.primaries()
    basket.declare(wait="2", calm="0s")
    basket.sre("status")  # somebody has looked while all was well
    with writing(basket.dsn, tmp_path, wait=2, deadline=1.0) as writers:
        basket[old].signal(signal.SIGKILL)
        wait_until(lambda: not basket[old].answers(), 5, "it is dead")
        code, done = basket.sre("failover", "basket", "--confirm", old)
        assert (code, done["outcome"], done["loss"]) == (0, "ok", None), done
        assert basket.primaries() == [done["new"]]
        code, back = basket.sre("rejoin", "basket", old, "--confirm", old)
        assert (code, back["outcome"]) == (0, "ok"), back
        more(writers, 10)
    assert judged(basket.dsn, tmp_path).good is True
    basket.whole(done["new"])


@pytest.mark.long
def test_without_wait_a_failover_needs_a_reason(basket: RedisSet) -> None:
    [old] = basket.primaries()
    basket.sre("status")
    basket[old].signal(signal.SIGKILL)
    wait_until(lambda: not basket[old].answers(), 5, "it is dead")
    code, done = basket.sre("failover", "basket", "--confirm", old)
    assert (code, checks(done)) == (5, {"data-loss"}), done
    assert "--accept-data-loss REASON" in done["reasons"][0]["text"]
    code, done = basket.sre("failover", "basket", "--confirm", old, "--accept-data-loss", "a drill")
    assert (code, done["outcome"]) == (0, "ok"), done
    assert basket.sre("rejoin", "basket", old, "--confirm", old)[0] == 0


@pytest.mark.long
def test_a_frozen_primary_is_killed_before_another_is_made(basket: RedisSet) -> None:
    [old] = basket.primaries()
    basket[old].signal(signal.SIGSTOP)
    wait_until(lambda: _allowed(basket), 40, "its replicas miss it")
    code, done = basket.sre("failover", "basket", "--confirm", old, "--accept-data-loss", "frozen")
    assert (code, done["outcome"]) == (0, "ok"), done
    assert not basket[old].pids()
    assert (basket[old].folder / "sre-fenced").exists()
    assert basket.sre("rejoin", "basket", old, "--confirm", old)[0] == 0


def _allowed(basket: RedisSet) -> bool:
    args = ("plan", "basket", "--action", "failover", "--accept-data-loss", "x")
    return not checks(basket.sre(*args)[1])


def test_two_primaries_are_made_one_and_a_copy_is_kept(basket: RedisSet) -> None:
    [good] = basket.primaries()
    bad = other(basket, good)
    basket[bad].tell("REPLICAOF", "NO", "ONE")
    basket[bad].tell("SET", "only-here", "x" * 100)
    code, done = basket.sre("switchover", "basket", "--confirm", good)
    assert (code, "two-primaries" in checks(done)) == (5, True)
    code, done = basket.sre("rejoin", "basket", bad, "--confirm", bad)
    assert (code, done["outcome"]) == (0, "ok"), done
    assert basket[bad].tell("EXISTS", "only-here") == 0
    kept = Path(done["noted"]["keep"]["folder"]) / "dump.rdb"
    assert b"only-here" in kept.read_bytes()
    assert basket.primaries() == [good]


def test_a_primary_without_its_replicas_is_seen_to_refuse_writes(basket: RedisSet) -> None:
    """As a partitioned one does: min-replicas-to-write, after min-replicas-max-lag."""
    import redis

    [old] = basket.primaries()
    followers = [node for name, node in basket.nodes.items() if name != old]
    basket[old].tell("CONFIG", "SET", "min-replicas-to-write", 1, "min-replicas-max-lag", 1)
    for node in followers:
        node.signal(signal.SIGSTOP)
    try:
        wait_until(lambda: basket[old].info()["min_slaves_good_slaves"] == 0, 10, "max-lag")
        with pytest.raises(redis.ResponseError, match="NOREPLICAS"):
            basket[old].tell("SET", "k", "v")
        code, status = basket.sre("status")
        node = next(n for n in status["clusters"][0]["nodes"] if n["name"] == old)
        assert (code, node["writable"]) == (3, False)
        assert any("min-replicas" in each for each in node["problems"])
        assert basket.sre("switchover", "basket", "--confirm", old)[0] == 5
    finally:
        for node in followers:
            node.signal(signal.SIGCONT)
        basket[old].tell("CONFIG", "SET", "min-replicas-to-write", 0)


class Died(BaseException):
    """The process is gone at this very moment."""


@pytest.mark.long
def test_killed_at_every_record_of_the_journal_it_goes_on_to_the_same_end(
    basket: RedisSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in basket.env.items():
        monkeypatch.setenv(name, value)
    with writing(basket.dsn, tmp_path) as writers:
        for at in range(1, 40):
            [old] = basket.primaries()
            if not _dies(basket, Wish("switchover"), at, monkeypatch):
                break
            with Job(_declared(basket), SystemClock()) as job:
                done = job.resume() if job.unfinished() else None
            assert done is None or done.outcome == "ok", (at, done)
            [now] = basket.primaries()
            assert done is None or now != old, at
            basket.whole(now)
        more(writers)
    assert at > 12
    found = judged(basket.dsn, tmp_path)
    assert found.good is True


def _declared(basket: RedisSet) -> Declared:
    found: Any = load_settings(basket.config)
    declared: Declared = found.switching.clusters["basket"]
    return replace(declared)


def _dies(basket: RedisSet, wish: Wish, at: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether it was killed by the `at`-th record; False: it came to its end before."""
    count = 0
    real = Record.add

    def add(self: Record, event: str, **more_: Any) -> None:
        nonlocal count
        count += 1
        real(self, event, **more_)
        if count == at:
            raise Died

    with monkeypatch.context() as patch:
        patch.setattr(Record, "add", add)
        try:
            with Job(_declared(basket), SystemClock()) as job:
                result = job.carry_out(wish)
        except Died:
            return True
    assert result.outcome == "ok", result
    return False
