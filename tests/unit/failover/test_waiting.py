"""How long is waited for a node that does not answer?"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from sre.core.clock import Deadline, FakeClock
from sre.core.errors import Transient
from sre.failover.clusters.common.together import Silent
from sre.failover.clusters.common.waiting import wait_until
from sre.failover.nodes import Life


class World:
    """One node; whether it lives, and when it begins to answer and to be ready."""

    def __init__(
        self, *lives: str, answers: float = 1e9, ready: float = 1e9, missing: str = ""
    ) -> None:
        self.clock, self.asked = FakeClock(), 0
        self._lives, self._answers, self._ready = lives, answers, ready
        self._missing = (missing,) if missing else ()
        self._began = self.clock.now()
        self.control = self

    def node(self, _name: str) -> Any:
        return SimpleNamespace(control=self, service=None)

    def life(self, _service: object, _deadline: Deadline) -> Life:
        self.asked += 1
        state: Any = self._lives[min(self.asked, len(self._lives)) - 1]
        return Life(state, (), "looked")

    def check(self, _service: object, _deadline: Deadline) -> tuple[str, ...]:
        return self._missing

    @property
    def passed(self) -> float:
        return self.clock.now() - self._began

    def done(self) -> bool:
        if self.passed < self._answers:
            raise Silent("b: refused", "refused")
        return self.passed >= self._ready

    def wait(self, seconds: float = 100, on: tuple[str, ...] = ("b",)) -> bool:
        ground: Any = self
        return wait_until(
            ground, "b is primary", self.done, Deadline.after(seconds, self.clock), on
        )


def test_one_that_died_is_not_waited_for() -> None:
    world = World("dead")
    with pytest.raises(Transient, match=r"b is primary: no process of b runs \(looked\); start it"):
        world.wait()
    assert 14 <= world.passed < 16


@pytest.mark.parametrize(
    "make",
    [
        lambda: World("alive", answers=40, ready=40),
        lambda: World("dead", answers=9, ready=9),
        lambda: World("unknown", answers=60, ready=70),
        lambda: World("unknown", "dead", "alive", "dead", "alive", answers=60, ready=60),
        lambda: World("dead", answers=60, ready=60, missing="there is no folder /data"),
    ],
    ids=[
        "it starts slowly",
        "it was started in time",
        "nobody can tell",
        "its machine boots",
        "it is not where its control looks",
    ],
)
def test_one_that_may_come_back_is(make: Callable[[], World]) -> None:
    assert make().wait()


def test_one_that_dies_later_is_given_up_then() -> None:
    world = World("alive", "alive", "dead")
    with pytest.raises(Transient, match="no process"):
        world.wait()
    assert world.asked == 4
    assert 22 <= world.passed < 24


def test_what_comes_from_one_that_died_is_not_waited_for() -> None:
    """The one that is asked answers all along: it has nobody to stream from."""
    world = World("alive", "dead", "alive", "dead", answers=0)
    with pytest.raises(Transient, match="no process of a runs"):
        world.wait(on=("b", "a"))
    assert 14 <= world.passed < 16


def test_where_no_node_is_meant_the_deadline_counts() -> None:
    world = World("dead")
    with pytest.raises(Transient, match=r"not within the time \(b: refused\)"):
        world.wait(on=())
    assert world.asked == 0
