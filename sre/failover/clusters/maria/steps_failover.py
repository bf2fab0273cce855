"""What is done when the primary is gone: cut off, compare what is left, promote who has the most?

The old primary is fenced before anybody is promoted. Then the replicas stop receiving and execute
what they have in their relay logs, so that what they have cannot change any more, and it is judged
again whether that is enough. Relay logs are never thrown away before: with GTID, START SLAVE of
both threads would.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, Refused, SreError, Transient
from sre.failover.clusters.common.fence import Fence
from sre.failover.clusters.common.together import Silent, together
from sre.failover.clusters.common.traffic import Switches
from sre.failover.clusters.maria.after import After
from sre.failover.clusters.maria.gtid import covers, merged, missing, position_of, text_of
from sre.failover.clusters.maria.hands import Hands, run_all, set_variables
from sre.failover.clusters.maria.seen import executed, received
from sre.failover.engine import Decision, Memory, Step

__all__ = ["failover_steps", "fence_steps", "fencing"]

Note = Mapping[str, Any]
_APPLY = 60.0
_IDLE = "Slave has read all relay log"
_IDLE_SECONDS = 2.0


def failover_steps(hands: Hands, switches: Switches, decision: Decision) -> tuple[Step, ...]:
    """In order; the same for the same decision."""
    do = _Failover(hands, switches, decision)
    steps = fencing(hands, switches, decision.old) if decision.old else []
    steps += [
        Step("freeze", "let the replicas receive no more, and execute what they have", do.freeze,
             do.thaw, seconds=_APPLY + 20),
        Step("choose", f"see that {decision.new} has the most", do.choose, seconds=_APPLY),
        Step("promote", f"{decision.new} takes writes", do.promote, no_return=True, seconds=60),
        *do.after.to_the_new(),
    ]  # fmt: skip
    return tuple(steps)


def fence_steps(hands: Hands, switches: Switches, decision: Decision) -> tuple[Step, ...]:
    """A node takes no writes, and does not come back by itself."""
    after = After(hands, switches, decision)
    steps = fencing(hands, switches, decision.new)
    if switches.some:
        steps.append(Step("settle", "write it into the files of the switches", after.settle,
                          phase="files", vital=False))  # fmt: skip
    return tuple(steps)


def fencing(hands: Hands, switches: Switches, name: str) -> list[Step]:
    """No work for a node, and then no process of it."""
    fence = Fence(hands.ground.node(name), lambda: hands.looker.answers(name))
    steps = []
    if switches.some:
        steps.append(
            Step(
                "close", f"no work for {name}",
                lambda _memory, deadline: _closed(switches, name, deadline),
                lambda _memory, deadline: switches.open(name, deadline),
                phase="traffic", seconds=10,
            )
        )  # fmt: skip
    steps.append(Step("fence", f"kill MariaDB on {name}, and keep it down", fence.act, fence.undo,
                      seconds=45))  # fmt: skip
    return steps


def _closed(switches: Switches, name: str, deadline: Deadline) -> Note:
    switches.cut(name, deadline)
    return {}


class _Failover:
    """The acts of one failover between fence and promotion."""

    def __init__(self, hands: Hands, switches: Switches, decision: Decision) -> None:
        self.hands, self.decision = hands, decision
        self.new = decision.new
        self.replicas: list[str] = [decision.new, *decision.facts["siblings"]]
        self.after = After(hands, switches, decision)

    def freeze(self, _memory: Memory, deadline: Deadline) -> Note:
        """Each replica alone: one that went away meanwhile is no longer counted."""
        found = together({n: partial(self._freeze, n, deadline) for n in self.replicas})
        mine = found[self.new]
        if isinstance(mine, SreError):
            raise mine
        return {name: at for name, at in found.items() if not isinstance(at, SreError)}

    def _freeze(self, name: str, deadline: Deadline) -> str:
        """Receives no more, and has executed everything; what it has then."""
        hands = self.hands

        def work(connection: Any) -> None:
            set_variables(connection, {"rpl_semi_sync_master_enabled": "OFF"})
            run_all(connection, "stop slave io_thread")

        hands.ask(name, work, deadline.within(10))
        idle: list[tuple[str, float]] = []

        def done() -> str:
            node = hands.looker.one(name, deadline)
            slave = node.more["slave"] or {}
            if slave.get("Slave_IO_Running", "No") != "No":
                return ""
            has = text_of(executed(node.more)) or "none"
            if covers(executed(node.more), received(node.more)):
                return has
            now = hands.ground.clock.now()
            if not idle or idle[0][0] != has or not slave["Slave_SQL_State"].startswith(_IDLE):
                idle[:] = [(has, now)]
            elif now - idle[0][1] > _IDLE_SECONDS:
                return has  # the last transaction came only in part: nobody acknowledged it
            if slave.get("Slave_SQL_Running") != "Yes":
                raise CheckFailed(f"{name} does not execute what it has: {slave['Last_SQL_Error']}")
            return ""

        return hands.until(f"{name} executes its relay log", done, deadline.within(_APPLY),
                           on=(name,))  # fmt: skip

    def thaw(self, _memory: Memory, deadline: Deadline) -> None:
        self.after.uncalm(deadline)
        found = together(
            {n: partial(self.hands.do, n, deadline, "start slave io_thread") for n in self.replicas}
        )
        for answer in found.values():
            if isinstance(answer, SreError) and not isinstance(answer, Silent):
                raise answer

    def choose(self, memory: Memory, deadline: Deadline) -> Note:
        """Again, now that positions stand still; the new one fetches what another has more."""
        at = {name: position_of("" if text == "none" else text)
              for name, text in memory["freeze"].items()}  # fmt: skip
        reason = self.decision.facts["reason"]
        absent = [name for name in self.decision.facts["counting"] if name not in at]
        if absent and not reason:
            raise Refused(
                f"{', '.join(absent)} went away: acknowledged writes may be missing; bring it "
                "back, or --accept-data-loss REASON"
            )
        whole = merged(*at.values())
        short = missing(at[self.new], whole)
        if short and reason:
            return {"given_up": short, "positions": memory["freeze"]}
        if short:
            self._fetch(at, whole, deadline)
        return {"positions": memory["freeze"]}

    def _fetch(self, at: Mapping[str, Any], whole: Mapping[int, Any], deadline: Deadline) -> None:
        """The new one follows the one that has everything until it has as much."""
        hands = self.hands
        best = next((name for name, has in at.items() if covers(has, whole)), "")
        if not best:
            raise Refused(
                f"no replica has everything ({text_of(whole)}); --accept-data-loss REASON, or "
                "look which transactions each has"
            )
        hands.follow(self.new, best, deadline)
        waited = hands.value(self.new, "select master_gtid_wait(%s, %s)", deadline,
                             text_of(whole), max(1.0, deadline.left() - 2))  # fmt: skip
        if waited != 0:
            raise Transient(f"{self.new} did not get {text_of(whole)} from {best} in time")
        hands.do(self.new, deadline, "stop slave io_thread")

    def promote(self, _memory: Memory, deadline: Deadline) -> Note:
        self.after.open_up(deadline)
        return {}
