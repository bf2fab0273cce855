"""Does the attended mode ask once it is sure, and never before?"""

from __future__ import annotations

from pathlib import Path

import pytest

from sre.core.clock import Deadline, FakeClock
from sre.core.errors import Refused
from sre.core.facts import Facts
from sre.failover.engine import Decision, Reason, Wish
from sre.failover.job import Job, Planned
from sre.failover.metrics import Writer, exposition, samples_of
from sre.failover.model import Declared
from sre.failover.snapshot import NodeSeen, Snapshot
from sre.failover.watching import Patience, auto, watch
from tests.unit.failover.test_job import Kind
from tests.unit.failover.world import World

WISH = Wish("failover")


class Failing(World):
    """A cluster whose primary answers only as `well` says, look by look, then never again."""

    def __init__(self, well: str) -> None:
        super().__init__()
        self.well, self.looks = list(well), 0

    def observe(self, deadline: Deadline) -> Snapshot:
        self.looks += 1
        up = bool(self.well) and self.well.pop(0) == "+"
        node = NodeSeen("a", "primary" if up else "unknown", reachable=up, writable=up)
        return Snapshot("orders", 0.0, (node, NodeSeen("b", "standby", reachable=True)))

    def decide(self, wish: Wish, seen: Snapshot) -> Decision:
        alive = (Reason("primary-alive", "a takes writes"),) if seen.primaries() else ()
        return Decision(wish.action, "orders", "a", "b", alive)

    def settled(self, _decision: Decision, _seen: Snapshot) -> tuple[Reason, ...]:
        return ()


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    monkeypatch.setenv("SRE_STATE", str(tmp_path))
    return FakeClock()


def looked(world: World, clock: FakeClock, agree: object) -> tuple[object, list[str]]:
    said: list[str] = []
    one = Job(Declared("orders", "memory", Kind(world), ()), clock)
    result = watch(one, WISH, Patience(), agree, said.append, lambda _planned: None)  # type: ignore[arg-type]
    return result, said


def test_two_bad_looks_are_no_reason(clock: FakeClock) -> None:
    world = Failing("++--+--+")
    asked: list[int] = []
    result, _ = looked(world, clock, lambda _planned: asked.append(world.looks))
    assert result is not None
    assert asked == [8 + 3 + 1], "three in a row, and once more before anything is touched"


def test_who_says_no_is_heard(clock: FakeClock) -> None:
    def no(_planned: Planned) -> None:
        raise Refused("it is the network")

    world = Failing("+")
    result, said = looked(world, clock, no)
    assert result is None
    assert world.acts == []
    assert "it is the network" in said[-1]


def test_without_anybody_to_ask_a_fence_must_be_proven() -> None:
    snapshot = Snapshot("orders", 0.0, ())
    without = Decision("failover", "orders", "a", "b")
    with pytest.raises(Refused, match="fence"):
        auto(Planned(snapshot, without, ()))
    proven = Decision("failover", "orders", "a", "b", passed=(Reason("fence", "a answers"),))
    auto(Planned(snapshot, proven, ()))


def test_what_prometheus_sees(clock: FakeClock, tmp_path: Path) -> None:
    nodes = (
        NodeSeen("a", "primary", reachable=True, timeline=3),
        NodeSeen("b", "standby", reachable=True, timeline=3, lag_seconds=0.5, synchronous=True),
        NodeSeen('c"', reachable=False),
    )
    seen, facts = Snapshot("orders", 12.0, nodes), Facts(clock=clock)
    text = exposition(samples_of(seen, facts))
    assert 'sre_failover_ready{cluster="orders"} 1.0' in text
    assert 'sre_failover_standby_lag_seconds{cluster="orders",node="b"} 0.5' in text
    assert 'sre_failover_node_up{cluster="orders",node="c\\""} 0.0' in text
    file = tmp_path / "sre.prom"
    Writer(file, facts, clock).see(Planned(seen, Decision("failover", "orders"), ()))
    assert file.read_text() == text
