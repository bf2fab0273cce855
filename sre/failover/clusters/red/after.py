"""What is alike in every change of the primary, before and after the promotion? (effects)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from sre.core.clock import Deadline
from sre.core.errors import Transient
from sre.failover.clusters.common.together import all_of
from sre.failover.clusters.common.traffic import Switches
from sre.failover.clusters.red.hands import Hands
from sre.failover.engine import Decision, Memory, Step

__all__ = ["After"]

Note = Mapping[str, Any]
_TOLD_EVERY = 0.1


class After:
    """The acts around the promotion."""

    def __init__(self, hands: Hands, switches: Switches, decision: Decision) -> None:
        self.hands, self.switches, self.decision = hands, switches, decision
        self.new = decision.new
        self.siblings: list[str] = list(decision.facts["siblings"])
        self.before: dict[str, str] = dict(decision.facts["priorities"])

    def steering(self) -> list[Step]:
        """A sentinel chooses by what it knows of the replicas: it hears it every 10 s."""
        if not self.hands.watches:
            return []
        others = f", and not {', '.join(self.before)}" if self.before else ""
        return [
            Step("steer", f"let the sentinels choose {self.new}{others}", self.steer,
                 self.unsteer, seconds=30)
        ]  # fmt: skip

    def steer(self, _memory: Memory, deadline: Deadline) -> Note:
        self.hands.priorities(dict.fromkeys(self.before, "0"), deadline)
        while not self._told(deadline):
            if deadline.passed():
                raise Transient("the sentinels have not heard of replica-priority in time")
            self.hands.ground.clock.sleep(_TOLD_EVERY)
        return {}

    def unsteer(self, _memory: Memory, deadline: Deadline) -> None:
        self.hands.priorities(self.before, deadline)

    def _told(self, deadline: Deadline) -> bool:
        """Whether every sentinel that answers would choose the new one alone."""
        looker = self.hands.looker
        mine, theirs = looker.known(self.new), {e for n in self.before for e in looker.known(n)}
        heard = [looker.sentinel(name, deadline) for name in self.hands.watches]
        said = [each.said["replicas"] for each in heard if each.said is not None]

        def would(rows: Sequence[Mapping[str, Any]]) -> bool:
            at = {f"{row['host']}:{row['port']}": row["priority"] for row in rows}
            able = any(at.get(each) for each in mine)
            return able and not any(at.get(each) for each in theirs)

        return bool(said) and all(would(rows) for rows in said)

    def to_the_new(self) -> list[Step]:
        """Traffic to the new primary, and everybody who has to know of it."""
        steps = []
        if self.switches.some:
            steps.append(Step("repoint", f"all work to {self.new}", self.repoint,
                              phase="traffic", seconds=10))  # fmt: skip
        if self.hands.watches:
            steps.append(Step("agree", f"see that the sentinels name {self.new}", self.agree,
                              vital=False, seconds=30))  # fmt: skip
        if self.siblings:
            steps.append(Step("follow", f"see that the others follow {self.new}", self.follow,
                              vital=False, seconds=30))  # fmt: skip
        if self.switches.some:
            steps.append(Step("settle", "write it into the files of the switches", self.settle,
                              phase="files", mends=("traffic",), seconds=30))  # fmt: skip
        return steps

    def repoint(self, _memory: Memory, deadline: Deadline) -> Note:
        self.switches.repoint(self.new, deadline)
        return {}

    def agree(self, _memory: Memory, deadline: Deadline) -> Note:
        """All that answer; one that does not is no reason to wait."""
        looker = self.hands.looker

        def agreed() -> bool:
            heard = [looker.sentinel(name, deadline) for name in self.hands.watches]
            said = [each.said for each in heard if each.said is not None]
            known = looker.known(self.new)
            return bool(said) and all(f"{each['host']}:{each['port']}" in known for each in said)

        self.hands.until(f"the sentinels name {self.new}", agreed, deadline)
        return {}

    def follow(self, _memory: Memory, deadline: Deadline) -> Note:
        """Sentinels tell them one after the other; without them we do."""
        hands = self.hands

        def one(name: str) -> None:
            if not hands.watches and not hands.streams(name, self.new, deadline):
                hands.follow(name, self.new, deadline)
            done = partial(hands.streams, name, self.new, deadline)
            hands.until(f"{name} follows {self.new}", done, deadline, on=(name, self.new))

        all_of({name: partial(one, name) for name in self.siblings})
        return {}

    def settle(self, _memory: Memory, deadline: Deadline) -> Note:
        """A switch that was loaded anew since it was repointed has what its file said before."""
        self.switches.point(self.new, deadline)
        self.switches.settle(deadline)
        return {}

    def put_back(self) -> list[Step]:
        """The settings that were changed for the time of the operation, in files too."""
        put = Step("put-back", "put replica-priority back", self._put_back, vital=False, seconds=20)
        keep = Step("keep", f"write into the file of {self.new} what it is", self._keep,
                    vital=False, phase="files", seconds=5)  # fmt: skip
        return [*([put] if self.before else []), keep]

    def _put_back(self, _memory: Memory, deadline: Deadline) -> Note:
        """A sentinel made them write the changed value into their files."""
        for name, value in self.before.items():
            self.hands.tell(name, deadline.within(3), "CONFIG", "SET", "replica-priority", value)
            self.hands.remember(name, deadline.within(3))
        return {}

    def _keep(self, _memory: Memory, deadline: Deadline) -> Note:
        self.hands.remember(self.new, deadline)
        return {}
