"""Does one operation at a time hold, and does nothing go on that should not?"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from sre.core.clock import FakeClock
from sre.core.errors import IntegrityError, Locked, Refused, Transient, UsageError
from sre.failover.engine import Engine, Ground, Reason, Wish
from sre.failover.job import Job
from sre.failover.model import Declared
from sre.failover.nodes import Service
from tests.unit.failover.world import BROKEN, NO_ANSWER, World


@dataclass
class Kind:
    """A kind of clusters whose engine is a world in memory."""

    NODE: ClassVar[type[Any]] = dict
    world: World

    def service(self, _own: Any) -> Service:
        return Service("postgres", "/nowhere")

    def engine(self, _ground: Ground) -> Engine:
        return self.world


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    monkeypatch.setenv("SRE_STATE", str(tmp_path))
    return FakeClock()


def job(world: World, clock: FakeClock) -> Job:
    return Job(Declared("orders", "memory", Kind(world), ()), clock)


def test_an_unfinished_operation_stands_in_the_way_of_the_next(clock: FakeClock) -> None:
    world = World({"repoint": NO_ANSWER})
    one = job(world, clock)
    assert one.carry_out(Wish("switchover")).outcome == "incomplete"
    acts = len(world.acts)
    refused = one.carry_out(Wish("failover"))
    assert (refused.outcome, refused.exit_code) == ("refused", 5)
    assert "sre failover resume orders" in refused.reasons[0].text
    assert len(world.acts) == acts, "nothing was touched"
    world.fails.clear()
    assert one.resume().outcome == "ok"
    with pytest.raises(UsageError, match="nothing of orders is unfinished"):
        one.resume()
    assert one.carry_out(Wish("switchover")).outcome == "ok"


def test_what_cannot_go_on_says_so_and_can_be_given_up(clock: FakeClock) -> None:
    world = World({"repoint": NO_ANSWER})
    one = job(world, clock)
    one.carry_out(Wish("switchover"))
    with pytest.raises(Refused, match="the only way is forward"):
        one.resume(back=True)
    world.in_the_way = (Reason("primary", "c is primary now"),)
    assert one.resume().outcome == "refused"
    assert one.abandon("c took over").outcome == "abandoned"
    assert one.unfinished() is None


def test_before_the_point_of_no_return_it_can_be_taken_back(clock: FakeClock) -> None:
    world = World({"close": BROKEN}, undo_fails=["pause"])
    one = job(world, clock)
    assert one.carry_out(Wish("switchover")).outcome == "incomplete"
    world.undo_fails.clear()
    assert one.resume(back=True).outcome == "rolled_back"
    assert world.state == ("a", "a", False, False)


def test_a_failover_soon_after_another_needs_somebody_who_looked(clock: FakeClock) -> None:
    one = job(World(), clock)
    with pytest.raises(UsageError):
        one.acknowledge("nothing there")
    assert one.carry_out(Wish("failover")).outcome == "ok"
    clock.advance(1800)
    refused = one.carry_out(Wish("failover"))
    assert [each.check for each in refused.reasons] == ["recent"]
    assert "a to b" in refused.reasons[0].text
    one.acknowledge("the disk was full; mended")
    assert one.carry_out(Wish("failover")).outcome == "ok"
    clock.advance(3600)
    assert one.carry_out(Wish("failover")).outcome == "ok", "calm for long enough"


def test_two_at_once_are_not_let_in(clock: FakeClock) -> None:
    one, other = job(World(), clock), job(World(), clock)

    def meanwhile(_planned: object) -> None:
        with pytest.raises(Locked):
            other.carry_out(Wish("switchover"))

    assert one.carry_out(Wish("switchover"), agree=meanwhile).outcome == "ok"


def test_who_does_not_agree_touches_nothing(clock: FakeClock) -> None:
    world = World()

    def no(_planned: object) -> None:
        raise Refused("not that one")

    with pytest.raises(Refused):
        job(world, clock).carry_out(Wish("switchover"), agree=no)
    assert world.acts == []
    assert job(world, clock).unfinished() is None


@pytest.mark.parametrize("left", [b"", b'{"event": "deci'])
def test_an_operation_that_never_began_stands_in_nobodys_way(
    left: bytes, clock: FakeClock, tmp_path: Path
) -> None:
    """The disk was full, or the machine died, before its first line was written."""
    world = World()
    one = job(world, clock)
    one.carry_out(Wish("switchover"))
    path = tmp_path / "failover" / "orders" / "20990101T000000.000000Z-switchover-ec92c1.jsonl"
    path.write_bytes(left)
    assert one.unfinished() is None
    assert len(one.history()) == 1
    path.write_bytes(b"{}\n")
    with pytest.raises(IntegrityError, match="move it to another folder"):
        one.history()


def test_a_journal_that_cannot_be_begun_leaves_nothing(
    clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    world = World()
    monkeypatch.setattr("os.write", full)
    with pytest.raises(Transient, match="No space left"):
        job(world, clock).carry_out(Wish("switchover"))
    monkeypatch.undo()
    assert world.acts == []
    assert list(tmp_path.glob("failover/orders/*.jsonl")) == []
