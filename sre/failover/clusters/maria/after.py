"""What is done from the moment on in which the new primary takes writes? (effects)"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from sre.core.clock import Deadline
from sre.core.errors import SreError
from sre.failover.clusters.common.together import together
from sre.failover.clusters.common.traffic import Switches
from sre.failover.clusters.maria.hands import Hands, run_all, set_variables
from sre.failover.engine import Decision, Memory, Step

__all__ = ["After"]

Note = Mapping[str, Any]


class After:
    """The acts from the promotion on."""

    def __init__(self, hands: Hands, switches: Switches, decision: Decision) -> None:
        self.hands, self.switches, self.decision = hands, switches, decision
        self.new = decision.new
        self.siblings: list[str] = list(decision.facts.get("siblings", ()))

    def to_the_new(self, also: Callable[[Deadline], None] | None = None) -> list[Step]:
        """Traffic and replicas to the new primary, and the proof that it takes writes.

        `also` is done at the same time, and again by the step `follow`.
        """
        steps = [
            Step("repoint", f"all work and all replicas to {self.new}",
                 partial(self.repoint, also), phase="traffic", seconds=20),
        ]  # fmt: skip
        if self.switches.pausing:
            steps.append(Step("resume", "let clients go on", self.resume, phase="traffic"))
        steps += [
            Step("write", f"write through {self.new}", self.write, seconds=30),
            Step("forget", f"{self.new} forgets whom it followed", self.forget, seconds=20),
            Step("follow", f"see that the others follow {self.new}", partial(self.follow, also),
                 vital=False, seconds=60),
        ]  # fmt: skip
        if self.switches.some:
            steps.append(Step("settle", "write it into the files of the switches", self.point,
                              phase="files", mends=("traffic",), seconds=30))  # fmt: skip
        return steps

    def open_up(self, deadline: Deadline) -> None:
        """The new primary takes writes, and waits for replicas as the old one did."""
        semi = self.decision.facts["semi_sync"]

        def work(connection: Any) -> None:
            run_all(connection, "stop slave")
            set_variables(connection, semi)
            run_all(connection, "set global read_only = 0")

        self.hands.ask(self.new, work, deadline)

    def repoint(
        self, also: Callable[[Deadline], None] | None, _memory: Memory, deadline: Deadline
    ) -> Note:
        """Everything at once: a commit may wait for a replica that has only now come over."""
        jobs: dict[str, Callable[[], None]] = {
            f"follow {name}": partial(self.hands.follow, name, self.new, deadline.within(5))
            for name in self.siblings
        }
        if self.switches.some:
            jobs["traffic"] = partial(self.switches.repoint, self.new, deadline)
        if also is not None:
            jobs["also"] = partial(also, deadline.within(10))
        found = together(jobs)  # who does not follow is told again, by the step `follow`
        traffic = found.get("traffic")
        if isinstance(traffic, SreError):
            raise traffic
        return {}

    def resume(self, _memory: Memory, deadline: Deadline) -> Note:
        self.switches.resume(deadline)
        return {}

    def write(self, _memory: Memory, deadline: Deadline) -> Note:
        self.hands.write(self.new, deadline)
        return {}

    def forget(self, _memory: Memory, deadline: Deadline) -> Note:
        """Else it would follow the old primary again after a restart."""
        self.hands.do(self.new, deadline, "stop slave", "reset slave all")
        return {}

    def follow(
        self, also: Callable[[Deadline], None] | None, _memory: Memory, deadline: Deadline
    ) -> Note:
        hands = self.hands

        def one(name: str) -> None:
            if not hands.follows(name, self.new, deadline):
                hands.follow(name, self.new, deadline)
            hands.see_follow(name, self.new, deadline)

        if also is not None:
            also(deadline)
            hands.see_follow(self.decision.old, self.new, deadline)
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

    def calm(self, names: list[str], deadline: Deadline) -> None:
        """Replicas do not wait for replicas of their own: it would hold up what they execute."""
        off = {"rpl_semi_sync_master_enabled": "OFF"}
        self.hands.each(names, lambda name: self.hands.configure(name, off, deadline))

    def uncalm(self, deadline: Deadline) -> None:
        """As it was before `calm`."""
        masters: Mapping[str, str] = self.decision.facts["masters"]
        on = {"rpl_semi_sync_master_enabled": "ON"}
        names = [name for name, was in masters.items() if was == "ON"]
        self.hands.each(names, lambda name: self.hands.configure(name, on, deadline))
