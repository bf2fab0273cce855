"""What is done when the primary is gone: cut off, compare what is left, promote the furthest?

The old primary is fenced before anybody is promoted: its processes killed and seen dead, or, where
its control does not reach it, the declared program run. What the replicas have cannot change any
more then, and it is judged again whether that is enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, Refused, SreError
from sre.failover.clusters.common.fence import Fence
from sre.failover.clusters.common.together import Silent, together
from sre.failover.clusters.common.traffic import Switches
from sre.failover.clusters.red.after import After
from sre.failover.clusters.red.hands import Hands, Stand
from sre.failover.clusters.red.history import enough
from sre.failover.clusters.red.promotion import LIMIT, Promotion
from sre.failover.engine import Decision, Memory, Step

__all__ = ["failover_steps", "fence_steps"]

Note = Mapping[str, Any]
_STILL = 0.02
_STILL_SECONDS = 5.0


def failover_steps(hands: Hands, switches: Switches, decision: Decision) -> tuple[Step, ...]:
    """In order; the same for the same decision."""
    do, after = _Failover(hands, decision), After(hands, switches, decision)
    steps = [_fencing(hands, switches, decision.old, primary=True)] if decision.old else []
    steps += [
        Step("choose", f"see that {decision.new} has the most", do.choose, seconds=15),
        *after.steering(),
        Step("promote", f"make {decision.new} primary", do.promote, no_return=True,
             seconds=LIMIT + 5),
        *after.to_the_new(),
    ]  # fmt: skip
    return (*steps, *after.put_back())


def fence_steps(hands: Hands, switches: Switches, decision: Decision) -> tuple[Step, ...]:
    """A node takes no writes, and does not come back by itself."""
    steps = [_fencing(hands, switches, decision.new, primary=bool(decision.facts["primary"]))]
    if switches.some:

        def settle(_memory: Memory, deadline: Deadline) -> Note:
            switches.settle(deadline)
            return {}

        steps.append(Step("settle", "write it into the files of the switches", settle,
                          phase="files", vital=False))  # fmt: skip
    return tuple(steps)


def _fencing(hands: Hands, switches: Switches, name: str, *, primary: bool) -> Step:
    fence = _Fencing(hands, switches, name, primary=primary)
    return Step("fence", f"cut {name} off: kill it, keep it down, no work for it", fence.act,
                fence.undo, seconds=45)  # fmt: skip


class _Fencing:
    """A node that must not take writes any more, and gets none."""

    def __init__(self, hands: Hands, switches: Switches, name: str, *, primary: bool) -> None:
        self.switches, self.name, self.primary = switches, name, primary
        self.fence = Fence(hands.ground.node(name), partial(hands.looker.answers, name))

    def act(self, memory: Memory, deadline: Deadline) -> Note:
        found = together(
            {
                "fence": lambda: self.fence.act(memory, deadline),
                "close": lambda: self.switches.cut(self.name, deadline.within(10)),
            }
        )
        fenced = found["fence"]
        if isinstance(fenced, SreError):
            raise fenced
        if isinstance(found["close"], SreError):  # sessions end with the server behind them
            self.switches.cut(self.name, deadline.within(10))
        return fenced or {}

    def undo(self, memory: Memory, deadline: Deadline) -> None:
        """Work for it again, once somebody starts it."""
        self.fence.undo(memory, deadline)
        if self.primary:
            self.switches.open(self.name, deadline)


class _Failover:
    """The acts of one failover between fence and promotion."""

    def __init__(self, hands: Hands, decision: Decision) -> None:
        self.hands, self.decision, self.new = hands, decision, decision.new
        self.replicas: list[str] = [decision.new, *decision.facts["siblings"]]
        self.promotion = Promotion(hands, decision)

    def choose(self, _memory: Memory, deadline: Deadline) -> Note:
        """Again, now that nothing more comes; a replica that went away is no longer counted."""
        facts = self.decision.facts
        at = self._still(deadline)
        if self.new not in at:
            raise CheckFailed(f"{self.new} does not answer any more; plan again")
        mine = at[self.new].history
        same = {name: each for name, each in at.items() if each.history.replid == mine.replid}
        best = max(same, key=lambda name: (same[name].history.offset, name == self.new))
        offsets = {name: each.history.offset for name, each in same.items()}
        short = offsets[best] - offsets[self.new]
        if short and not facts["reason"]:
            raise CheckFailed(f"{best} has {short} bytes more than {self.new} now; plan again")
        if not facts["reason"] and not enough(list(same), facts["replicas"], facts["wait"]):
            raise Refused(
                f"only {', '.join(sorted(same))} of {facts['replicas']} replicas are left: "
                "acknowledged writes may be missing; bring them back, or --accept-data-loss REASON"
            )
        return {"replid": mine.replid, "offsets": offsets, "given_up": short}

    def _still(self, deadline: Deadline) -> dict[str, Stand]:
        """Where all stand, once two looks say the same: what was under way has arrived."""
        hands = self.hands
        before: dict[str, int] = {}
        until = deadline.within(_STILL_SECONDS)
        while True:
            jobs = {name: partial(hands.stand, name, deadline.within(2)) for name in self.replicas}
            found = together(jobs)
            for answer in found.values():
                if isinstance(answer, SreError) and not isinstance(answer, Silent):
                    raise answer
            now = {name: each for name, each in found.items() if isinstance(each, Stand)}
            offsets = {name: each.history.offset for name, each in now.items()}
            if offsets == before or until.passed():
                return now
            before = offsets
            hands.ground.clock.sleep(_STILL)

    def promote(self, _memory: Memory, deadline: Deadline) -> Note:
        """It may be primary already: a run that was killed goes on here."""
        hands = self.hands
        if hands.stand(self.new, deadline).primary:
            return {}
        if hands.watches:
            self.promotion.by_sentinel(hands.leader(deadline), deadline.within(LIMIT))
        else:
            self.promotion.by_hand(deadline.within(LIMIT))
        return {}
