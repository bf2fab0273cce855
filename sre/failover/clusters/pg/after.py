"""What is alike in every change of the primary, from the promotion on? (effects)"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from sre.core.clock import Deadline
from sre.core.errors import SreError, Transient
from sre.failover.clusters.common.together import together
from sre.failover.clusters.common.traffic import Switches
from sre.failover.clusters.pg.hands import Hands
from sre.failover.engine import Decision, Memory, Step

__all__ = ["After"]

Note = Mapping[str, Any]


class After:
    """The acts from the promotion on."""

    def __init__(self, hands: Hands, switches: Switches, decision: Decision) -> None:
        self.hands, self.switches, self.decision = hands, switches, decision
        self.new = decision.new
        self.siblings: list[str] = list(decision.facts.get("siblings", ()))

    def to_the_new(self, *before_writing: Step) -> list[Step]:
        """Traffic to the new primary, and the proof that it takes writes."""
        steps = []
        if self.switches.some:
            steps.append(Step("repoint", f"all work to {self.new}", self.repoint,
                              phase="traffic", seconds=10))  # fmt: skip
        if self.switches.pausing:
            steps.append(Step("resume", "let clients go on", self.resume, phase="traffic"))
        steps += [
            *before_writing,
            Step("write", f"write through {self.new}", self.write, seconds=30),
            Step("follow", f"see that the others follow {self.new}", self.follow, vital=False,
                 seconds=30),
        ]  # fmt: skip
        if self.switches.some:
            steps.append(Step("settle", "write it into the files of the switches", self.point,
                              phase="files", mends=("traffic",), seconds=30))  # fmt: skip
        return steps

    def promote(self, _memory: Memory, deadline: Deadline) -> Note:
        """Asked once, however often it is called; the others go along meanwhile."""
        hands = self.hands
        if hands.recovering(self.new, deadline):
            hands.value(self.new, "select pg_promote(false)", deadline)
        hands.until(f"{self.new} is primary",
                    lambda: not hands.recovering(self.new, deadline), deadline,
                    on=(self.new,))  # fmt: skip
        return {}

    def repoint(self, _memory: Memory, deadline: Deadline) -> Note:
        self.switches.repoint(self.new, deadline)
        return {}

    def resume(self, _memory: Memory, deadline: Deadline) -> Note:
        self.switches.resume(deadline)
        return {}

    def write(self, _memory: Memory, deadline: Deadline) -> Note:
        self.hands.write(self.new, deadline)
        return {}

    def follow(self, _memory: Memory, deadline: Deadline) -> Note:
        """Those that had no ear before are told now."""
        hands = self.hands

        def one(name: str) -> None:
            if not hands.streams(name, deadline, self.new):
                hands.follow(name, self.new, deadline)
            hands.until(f"{name} streams", lambda: hands.streams(name, deadline, self.new),
                        deadline, on=(name, self.new))  # fmt: skip

        hands.each(self.siblings, one)
        return {}

    def point(self, _memory: Memory, deadline: Deadline) -> Note:
        """A switch that was loaded anew since it was repointed has what its file said before."""
        self.switches.point(self.new, deadline)
        self.switches.settle(deadline)
        return {}

    def settle(self, _memory: Memory, deadline: Deadline) -> Note:
        self.switches.settle(deadline)
        return {}

    def put_back(self) -> Step:
        """The settings that were changed for the time of the operation."""
        return Step("put-back", "put settings back", self._put_back, vital=False, seconds=20)

    def _put_back(self, _memory: Memory, deadline: Deadline) -> Note:
        before = {
            name: {"wal_retrieve_retry_interval": value}
            for name, value in self.decision.facts["retry"].items()
        }
        found = together(
            {
                name: partial(self.hands.change, name, each, deadline)
                for name, each in before.items()
            }
        )
        failed = [
            f"{name}: {error}" for name, error in found.items() if isinstance(error, SreError)
        ]
        if failed:
            raise Transient("; ".join(failed))
        return {}
