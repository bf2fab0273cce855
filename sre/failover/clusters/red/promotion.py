"""How does a replica become primary, by a sentinel or by hand? (effects)"""

from __future__ import annotations

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed
from sre.failover.clusters.common.together import Silent
from sre.failover.clusters.red.asking import No
from sre.failover.clusters.red.hands import Hands
from sre.failover.engine import Decision

__all__ = ["LIMIT", "Promotion"]

LIMIT = 12.0
"""Seconds for the promotion: shorter than the pause that covers it."""
_GIVES_UP = 2.0
_UNDER_WAY = "INPROG"


class Promotion:
    """The promotion of one decision; the replica may be primary already."""

    def __init__(self, hands: Hands, decision: Decision) -> None:
        self.hands, self.new = hands, decision.new

    def by_hand(self, deadline: Deadline) -> None:
        """Raises CheckFailed: it refused; Transient: nobody knows whether it is primary."""
        self.hands.tell(self.new, deadline, "REPLICAOF", "NO", "ONE")
        self.hands.until(f"{self.new} is primary", lambda: self._is_primary(deadline), deadline,
                         on=(self.new,))  # fmt: skip

    def by_sentinel(self, leader: str, deadline: Deadline) -> None:
        """The sentinel does it, without a vote; it was told whom alone it may choose.

        Raises CheckFailed: it refused, or gave it up; Transient: nobody knows.
        """
        hands = self.hands
        try:
            [answer] = hands.watches[leader].ask(
                [("SENTINEL", "FAILOVER", hands.master)], deadline.within(2)
            )
        except Silent:
            answer = None  # it may have begun: whoever becomes primary is looked at below
        if isinstance(answer, No) and answer.code != _UNDER_WAY:
            raise CheckFailed(f"the sentinel {leader} refused: {answer.text}")
        begun = hands.ground.clock.now()

        def done() -> bool:
            if self._is_primary(deadline):
                return True
            if hands.ground.clock.now() - begun > _GIVES_UP and self._gave_up(leader, deadline):
                raise CheckFailed(
                    f"the sentinel {leader} gave the failover up: its log says why; nothing changed"
                )
            return False

        hands.until(f"{self.new} is primary", done, deadline, on=(self.new,))

    def _is_primary(self, deadline: Deadline) -> bool:
        return self.hands.stand(self.new, deadline).primary

    def _gave_up(self, leader: str, deadline: Deadline) -> bool:
        answer = self.hands.looker.sentinel(leader, deadline)
        if answer.said is None or "failover_in_progress" in answer.said["flags"]:
            return False
        where = (str(answer.said["host"]), str(answer.said["port"]))
        if self.hands.means(where, self.new):
            return False  # it is done there, and the node says so in a moment
        return not self._is_primary(deadline)
