"""A cluster that exists in memory alone: what an operation on it changes can be looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, SreError, Transient
from sre.failover.engine import Decision, Memory, Reason, Reasons, Step, Wish
from sre.failover.snapshot import NodeSeen, Snapshot

DECISION = Decision("switchover", "orders", "a", "b")


class World:
    """An engine. `primary`, `traffic` and `paused` are what its steps change.

    Args:
        fails: step id -> the error that its act raises, after half of its work where it has two.
        undo_fails: ids of steps that cannot be taken back.
    """

    def __init__(
        self, fails: Mapping[str, SreError] | None = None, undo_fails: Sequence[str] = ()
    ) -> None:
        self.fails, self.undo_fails = dict(fails or {}), set(undo_fails)
        self.primary, self.traffic, self.paused, self.rejoined = "a", "a", False, False
        self.acts: list[str] = []
        self.in_the_way: Reasons = ()

    @property
    def state(self) -> tuple[str, str, bool, bool]:
        return (self.primary, self.traffic, self.paused, self.rejoined)

    def observe(self, _deadline: Deadline) -> Snapshot:
        role = {name: "primary" if name == self.primary else "standby" for name in "ab"}
        nodes = tuple(NodeSeen(name, role[name], reachable=True) for name in "ab")  # type: ignore[arg-type]
        return Snapshot("orders", 0.0, nodes, open={"front": (self.traffic,)})

    def decide(self, wish: Wish, seen: Snapshot) -> Decision:
        if wish.recent and wish.action == "failover":
            return Decision("failover", "orders", "a", "b", (Reason("recent", wish.recent),))
        old = seen.primaries()[0].name
        return Decision(wish.action, "orders", old, "b" if old == "a" else "a")

    def steps(self, decision: Decision) -> tuple[Step, ...]:
        new = decision.new
        return (
            self._step("pause", {"paused": True}, {"paused": False}),
            self._step("close", {"traffic": ""}, {"traffic": decision.old}),
            self._step("promote", {"primary": new}, None, no_return=True),
            self._step("repoint", {"traffic": new}, None, mends=("traffic",)),
            self._step("resume", {"paused": False}, None),
            self._step("rejoin", {"rejoined": True}, None, vital=False),
        )

    def _step(
        self, name: str, to: Mapping[str, Any], back: Mapping[str, Any] | None, **more: Any
    ) -> Step:
        def act(_memory: Memory, _deadline: Deadline) -> Mapping[str, Any]:
            self.acts.append(name)
            if name in self.fails:
                raise self.fails[name]
            self.__dict__.update(to)
            return {"set": dict(to)}

        def undo(_memory: Memory, _deadline: Deadline) -> None:
            self.acts.append(f"undo {name}")
            if name in self.undo_fails:
                raise CheckFailed(f"cannot undo {name}")
            self.__dict__.update(back or {})

        return Step(name, f"do {name}", act, undo=undo if back is not None else None, **more)

    def obstacles(self, _decision: Decision, _seen: Snapshot, _begun: Sequence[str]) -> Reasons:
        return self.in_the_way

    def settled(self, decision: Decision, seen: Snapshot) -> Reasons:
        if seen.primaries()[0].name != decision.new:
            return (Reason("primary", f"{decision.new} is not primary"),)
        if seen.open["front"] != (decision.new,):
            return (Reason("traffic", f"work goes to {seen.open['front']}"),)
        return ()

    def close(self) -> None:
        """Nothing to give back."""


NO_ANSWER = Transient("no answer")
BROKEN = CheckFailed("it said no")
