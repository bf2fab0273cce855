"""What is done to change the primary on purpose, so that nothing acknowledged can be missing?

Writes on the old primary wait (CLIENT PAUSE WRITE), the new one has all that it had, and only then
it is promoted. A bare SENTINEL FAILOVER does neither. The pause ends by itself: first a short one,
so that our death holds nobody up; at the promotion a long one, so that our death between promotion
and demotion loses nothing, for meanwhile the sentinels make the old one a replica. Without
sentinels the old one becomes a replica first: there are never two that take writes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from functools import partial
from typing import Any

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, Transient
from sre.failover.clusters.common.together import Silent
from sre.failover.clusters.common.traffic import Switches
from sre.failover.clusters.red.after import After
from sre.failover.clusters.red.hands import Hands
from sre.failover.clusters.red.history import contains
from sre.failover.clusters.red.promotion import LIMIT, Promotion
from sre.failover.engine import Decision, Memory, Step

__all__ = ["switchover_steps"]

Note = Mapping[str, Any]
_LONG = 20.0
"""Seconds; longer than sentinels need to demote the old primary when nobody else does."""


def switchover_steps(hands: Hands, switches: Switches, decision: Decision) -> tuple[Step, ...]:
    """In order; the same for the same decision."""
    do, after = _Switchover(hands, decision), After(hands, switches, decision)
    old, new = decision.old, decision.new
    limit = float(decision.facts["pause"])
    steps = after.steering()
    steps += [
        Step("pause", f"let writes on {old} wait until {new} has everything", do.pause,
             do.let_go, seconds=limit),
        Step("promote", f"make {new} primary", do.promote, no_return=True, seconds=LIMIT + 5),
        Step("demote", f"make {old} a replica of {new}, end its sessions", do.demote, vital=False,
             seconds=1),
        *after.to_the_new(),
        Step("verify", f"see that {new} has everything that {old} had", do.verify, vital=False,
             seconds=5),
        Step("rejoin", f"see that {old} follows {new}", do.rejoin, vital=False, seconds=60),
    ]  # fmt: skip
    return (*steps, *after.put_back())


class _Switchover:
    """The acts of one switchover."""

    def __init__(self, hands: Hands, decision: Decision) -> None:
        self.hands, self.decision = hands, decision
        self.old, self.new = decision.old, decision.new
        self.promotion = Promotion(hands, decision)

    def pause(self, _memory: Memory, deadline: Deadline) -> Note:
        return self._hold(float(self.decision.facts["pause"]), deadline)

    def _hold(self, seconds: float, deadline: Deadline) -> Note:
        try:
            replid, offset = self.hands.hold(self.old, self.new, seconds, deadline)
        except BaseException:  # a signal too: nobody has to wait for what will not be
            self._release()
            raise
        return {"replid": replid, "offset": offset}

    def let_go(self, _memory: Memory, _deadline: Deadline) -> None:
        self._release()

    def _release(self) -> None:
        """One that does not answer ends the pause itself."""
        with contextlib.suppress(Silent):
            self.hands.release(self.old, Deadline.after(2, self.hands.ground.clock))

    def promote(self, _memory: Memory, deadline: Deadline) -> Note:
        """Held again first: a run that was killed has let the pause end."""
        hands = self.hands
        if not hands.stand(self.new, deadline).primary:
            try:
                return self._promote(deadline)
            except CheckFailed:
                self._release()  # nothing was promoted: the old one goes on
                raise
        return {}

    def _promote(self, deadline: Deadline) -> Note:
        hands = self.hands
        note: Note = {}
        leader = hands.leader(deadline) if hands.watches else ""  # before anybody has to wait
        limit = deadline.within(float(self.decision.facts["pause"]))
        if hands.stand(self.old, limit).primary:
            note = self._again(limit)
        if leader:
            self.promotion.by_sentinel(leader, deadline.within(LIMIT))
        else:
            hands.tell(self.old, limit, "REPLICAOF", *self._address())
            self.promotion.by_hand(deadline.within(LIMIT))
        return note

    def _again(self, deadline: Deadline) -> Note:
        try:
            return self._hold(_LONG, deadline)
        except Transient as error:
            raise CheckFailed(
                f"{error}; nobody was promoted: resume, or, if {self.old} is gone, abandon it and "
                "fail over"
            ) from error

    def demote(self, _memory: Memory, deadline: Deadline) -> Note:
        """Writes that waited are told that it is a replica; they were not done."""
        hands = self.hands
        hands.tell(self.old, deadline, "REPLICAOF", *self._address())
        hands.release(self.old, deadline)
        hands.turn_away(self.old, deadline)
        return {}

    def _address(self) -> tuple[str, int]:
        """The new one as the sentinels call it, so that they find nothing to mend."""
        told = str(self.decision.facts["at"])
        host, _, port = told.rpartition(":")
        return (host, int(port)) if told else self.hands.looker.address(self.new)

    def verify(self, memory: Memory, deadline: Deadline) -> Note:
        noted = {**memory["pause"], **memory["promote"]}
        replid, offset = str(noted["replid"]), int(noted["offset"])
        has = self.hands.stand(self.new, deadline).history
        if not contains(has, replid, offset):
            raise CheckFailed(
                f"{self.new} does not have the first {offset} bytes of {replid[:8]}…: acknowledged "
                f"writes are missing; {self.old} is a replica now, look for a copy"
            )
        return {"history": replid, "offset": offset, "second": has.second}

    def rejoin(self, _memory: Memory, deadline: Deadline) -> Note:
        hands = self.hands
        with contextlib.suppress(Silent):  # it is waited for
            if hands.stand(self.old, deadline.within(2)).primary:
                self.demote({}, deadline.within(2))
        done = partial(hands.streams, self.old, self.new, deadline)
        hands.until(f"{self.old} follows {self.new}", done, deadline)
        hands.remember(self.old, deadline)
        return {}
