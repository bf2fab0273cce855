"""What is done to change the primary on purpose, so that nothing acknowledged can be missing?

A global read lock keeps everybody from writing on the old primary; what it has logged then, the
new one executes before it takes its first write. The lock is held until the new one does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, Transient
from sre.failover.clusters.common.together import Silent, all_of
from sre.failover.clusters.common.traffic import Switches
from sre.failover.clusters.maria.after import After
from sre.failover.clusters.maria.gtid import covers, position_of
from sre.failover.clusters.maria.hands import Hands
from sre.failover.clusters.maria.seen import written
from sre.failover.engine import Decision, Memory, Step

__all__ = ["switchover_steps"]

Note = Mapping[str, Any]
_CATCH_UP = 10.0


def switchover_steps(hands: Hands, switches: Switches, decision: Decision) -> tuple[Step, ...]:
    """In order; the same for the same decision."""
    do = _Switchover(hands, switches, decision)
    old, new = decision.old, decision.new
    steps = [Step("prepare", f"prepare {new} and the others", do.prepare, do.unprepare, seconds=20)]
    if switches.pausing:
        steps.append(Step("pause", "let clients wait", do.pause, do.resume_back, seconds=8))
    steps += [
        Step("block", f"nobody writes on {old} any more", do.block, do.unblock, seconds=20),
        Step("verify", f"see that {new} has everything that {old} has", do.verify, seconds=20),
        Step("promote", f"{new} takes writes", do.promote, no_return=True, seconds=30),
        *do.after.to_the_new(do.demote),
    ]  # fmt: skip
    return tuple(steps)


class _Switchover:
    """The acts of one switchover."""

    def __init__(self, hands: Hands, switches: Switches, decision: Decision) -> None:
        self.hands, self.switches, self.decision = hands, switches, decision
        self.old, self.new = decision.old, decision.new
        self.siblings: list[str] = list(decision.facts["siblings"])
        self.after = After(hands, switches, decision)

    def prepare(self, _memory: Memory, deadline: Deadline) -> Note:
        self.hands.learn([self.new, *self.siblings], deadline)
        self.after.calm([self.new, *self.siblings], deadline)
        return {}

    def unprepare(self, _memory: Memory, deadline: Deadline) -> None:
        self.after.uncalm(deadline)

    def pause(self, _memory: Memory, deadline: Deadline) -> Note:
        self.switches.pause(deadline)
        return {}

    def resume_back(self, _memory: Memory, deadline: Deadline) -> None:
        self.switches.resume(deadline)

    def block(self, _memory: Memory, deadline: Deadline) -> Note:
        """The lock is taken while the switches close: who writes then, is waited for a second."""
        found: dict[str, Any] = all_of(
            {
                "lock": lambda: self._lock(deadline),
                "close": lambda: self.switches.close(self.old, deadline, waiting=True),
            }
        )
        return {"position": found["lock"]}

    def _lock(self, deadline: Deadline) -> str:
        hands = self.hands
        while True:
            position = hands.hold(self.old).lock(deadline.within(5))
            if position is not None:
                return position
            ended = hands.send_away(self.old, deadline)
            if deadline.passed():
                raise Transient(f"writes on {self.old} do not end ({ended} sessions were ended)")

    def unblock(self, _memory: Memory, deadline: Deadline) -> None:
        self.hands.hold(self.old).release(deadline)
        self.hands.do(self.old, deadline, "set global read_only = 0")
        self.switches.open(self.old, deadline)

    def verify(self, _memory: Memory, deadline: Deadline) -> Note:
        """The lock is taken again where it was lost; what counts is what the old one has now."""
        position = self._lock(deadline)
        within = min(_CATCH_UP, max(1.0, deadline.left() - 2))
        waited = self.hands.value(
            self.new, "select master_gtid_wait(%s, %s)", deadline, position, within
        )
        if waited != 0:
            seen = self.hands.looker.one(self.new, deadline)
            has = f"{seen.more['gtid_slave_pos']}, {seen.state}"
            raise CheckFailed(f"{self.new} has not executed {position} in time; it has {has}")
        return {"position": position}

    def promote(self, memory: Memory, deadline: Deadline) -> Note:
        """Looked at again: the run may have been killed since it was verified."""
        hands = self.hands
        if hands.value(self.new, "select @@global.read_only", deadline):
            position = verified = memory["verify"]["position"]
            held = hands.hold(self.old).held
            try:
                position = self._lock(deadline.within(2) if held else deadline)
            except Silent:
                if not held:
                    raise
                # it went away while we held the lock: nobody has written since it was verified
            if position != verified:
                self.verify(memory, deadline)
        self.after.open_up(deadline)
        return {}

    def demote(self, deadline: Deadline) -> None:
        """The old primary follows; who still has a session there is sent away first.

        Raises:
            CheckFailed: it has written since it was verified.
        """
        hands = self.hands
        if hands.looker.one(self.old, deadline).state != "streaming":
            hands.send_away(self.old, deadline)
        hands.hold(self.old).release(deadline)
        mine = position_of(hands.value(self.old, "select @@global.gtid_binlog_pos", deadline))
        theirs = written(hands.looker.one(self.new, deadline).more)
        if not covers(theirs, mine):
            raise CheckFailed(
                f"somebody has written on {self.old} since; keep that and copy it anew: "
                f"sre failover rejoin {self.decision.cluster} {self.old}"
            )
        acks = str(self.decision.facts["acks"])
        hands.follow(self.old, self.new, deadline, own=True, fresh=True, acks=acks)
