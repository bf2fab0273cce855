"""What is done to cut a node off, and to build one anew?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sre.core.clock import Deadline
from sre.core.errors import Transient
from sre.failover.clusters.pat.api import refusal
from sre.failover.clusters.pat.hands import Hands
from sre.failover.clusters.pat.steps import streams
from sre.failover.engine import Decision, Memory, Step

__all__ = ["fence_steps", "rejoin_steps"]

Note = Mapping[str, Any]
_COPY_SECONDS = 24 * 3600.0
_PATIENCE = 20.0


def fence_steps(hands: Hands, decision: Decision) -> tuple[Step, ...]:
    """Patroni and PostgreSQL of a node are dead, and do not come back by themselves."""
    do, name = _Mend(hands, decision), decision.new
    steps = [Step("fence", f"end Patroni and PostgreSQL on {name}, and see them dead", do.fence,
                  seconds=45)]  # fmt: skip
    if decision.facts["told"]:
        steps.append(Step("close", f"no work for {name}", do.close, phase="traffic", vital=False))
    return tuple(steps)


def rejoin_steps(hands: Hands, decision: Decision) -> tuple[Step, ...]:
    """Started, and copied anew when that is not enough."""
    do, name = _Mend(hands, decision), decision.new
    steps = []
    if decision.facts["start"]:
        steps.append(Step("start", f"start Patroni on {name}", do.start, no_return=True,
                          seconds=60))  # fmt: skip
    steps.append(Step("reinitialize", f"let Patroni copy {name} anew, unless it streams", do.copy,
                      no_return=True, phase="copy", seconds=_COPY_SECONDS))  # fmt: skip
    return tuple(steps)


class _Mend:
    """The acts on one node."""

    def __init__(self, hands: Hands, decision: Decision) -> None:
        self.hands, self.decision = hands, decision
        self.node = hands.ground.node(decision.new)

    def fence(self, _memory: Memory, deadline: Deadline) -> Note:
        return {"by": self.hands.end_patroni(self.node, deadline)}

    def close(self, _memory: Memory, deadline: Deadline) -> Note:
        told = self.hands.switches(list(self.decision.facts["told"]))
        told.close(self.node.name, deadline, waiting=True)
        return {}

    def start(self, _memory: Memory, deadline: Deadline) -> Note:
        self.hands.start_patroni(self.node, deadline)
        return {}

    def copy(self, memory: Memory, deadline: Deadline) -> Note:
        """Called again it waits for the copy that is being made."""
        name, clock = self.node.name, self.hands.ground.clock
        if "start" in memory:  # Patroni rewinds by itself, where it can
            try:
                return self._wait(Deadline.after(_PATIENCE, clock))
            except Transient:
                pass
        if not self._streams(deadline) and "creating" not in self._state(deadline):
            answer = self.hands.apis[name].ask("POST", "/reinitialize", {"force": False},
                                               deadline.within(15))  # fmt: skip
            if not answer.ok and "already in progress" not in answer.words:
                raise refusal(answer, name)
        return {**self._wait(deadline), "copied": True}

    def _wait(self, deadline: Deadline) -> Note:
        name = self.node.name
        self.hands.until(f"{name} streams from {self.decision.old}",
                         lambda: self._streams(deadline), deadline)  # fmt: skip
        return {}

    def _streams(self, deadline: Deadline) -> bool:
        return streams(self.hands, self.node.name, self.decision.old, deadline)

    def _state(self, deadline: Deadline) -> str:
        return self.hands.role(self.node.name, deadline)[1]
