"""What is done so that a node becomes a replica again, with nothing that it alone has thrown away?

Its binary log is looked through first: what the primary has not is copied away, and the node is
copied anew. Where it has nothing of its own it only starts, and follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, SreError
from sre.failover.clusters.common.traffic import Switches
from sre.failover.clusters.maria.gtid import errant, position_of, state_of
from sre.failover.clusters.maria.hands import Hands
from sre.failover.clusters.maria.rebuild import Rebuild
from sre.failover.engine import Decision, Memory, Step

__all__ = ["rejoin_steps"]

Note = Mapping[str, Any]
_HOURS = 12 * 3600.0
_QUIET = ("--read-only=1", "--skip-slave-start")


def rejoin_steps(hands: Hands, switches: Switches, decision: Decision) -> tuple[Step, ...]:
    """In order; the same for the same decision."""
    do = _Rejoin(hands, switches, decision)
    node, primary, way = decision.new, decision.old, decision.facts["way"]
    steps = []
    if switches.some:
        steps.append(Step("close", f"no work for {node}", do.close, phase="traffic"))
    if way in ("start", "copy"):
        steps += [
            Step("stop", f"stop MariaDB on {node}", do.stop, seconds=120),
            Step("save", f"keep the log that {node} alone has", do.save, seconds=600),
            Step("rebuild", f"make {node} a copy of {primary} again", do.rebuild, no_return=True,
                 seconds=_HOURS),
            Step("start", f"start {node}, read only", do.start, seconds=120),
        ]  # fmt: skip
    if way != "none":
        steps.append(Step("follow", f"{node} follows {primary}", do.follow, seconds=120))
    if way in ("start", "copy"):
        steps.append(Step("clean", f"remove what {node} does not need any more", do.clean,
                          vital=False, seconds=600))  # fmt: skip
    steps.append(Step("semi-sync", "let commits wait for replicas again", do.semi_sync,
                      vital=False, seconds=30))  # fmt: skip
    return tuple(steps)


class _Rejoin:
    """The acts of one rejoin."""

    def __init__(self, hands: Hands, switches: Switches, decision: Decision) -> None:
        self.hands, self.switches, self.decision = hands, switches, decision
        self.name, self.primary = decision.new, decision.old
        self.node = hands.ground.node(decision.new)
        self.facts = decision.facts
        self.build = Rebuild(hands, self.node, decision.facts)

    def close(self, _memory: Memory, deadline: Deadline) -> Note:
        self.switches.close(self.name, deadline, waiting=False)
        self.switches.settle(deadline)
        return {}

    def stop(self, _memory: Memory, deadline: Deadline) -> Note:
        node = self.node
        try:
            node.control.stop(node.service, "fast", deadline.within(60))
        except SreError:
            node.control.kill(node.service, deadline)  # frozen, or it does not end
        return {}

    def save(self, _memory: Memory, deadline: Deadline) -> Note:
        """Before anything of it is overwritten."""
        stamp = datetime.fromtimestamp(float(self.facts["at"]), UTC).strftime("%Y%m%dT%H%M%SZ")
        return self.build.keep(stamp, deadline)

    def rebuild(self, memory: Memory, deadline: Deadline) -> Note:
        if not memory["save"]["diverged"] and self.facts["way"] != "copy":
            by_hand = "" if memory["save"]["files"] else self.build.copied(self.node, deadline)
            return {"position": by_hand} if by_hand else {"way": "none needed"}
        return self.build.copy(self.primary, deadline)

    def start(self, _memory: Memory, deadline: Deadline) -> Note:
        """Read only and following nobody, whatever its configuration says."""
        node, hands = self.node, self.hands
        if not hands.looker.answers(self.name):
            node.control.unmask(node.service, deadline)
            service = replace(node.service, options=(*node.service.options, *_QUIET))
            node.control.start(service, deadline)
        hands.until(f"{self.name} answers", lambda: hands.value(self.name, "select 1", deadline),
                    deadline, on=(self.name,))  # fmt: skip
        hands.do(self.name, deadline, "stop slave", "set global read_only = 1")
        return {}

    def follow(self, memory: Memory, deadline: Deadline) -> Note:
        hands, copied = self.hands, memory.get("rebuild", {}).get("position")
        acks = str(self.facts["acks"])
        hands.learn([n.name for n in hands.ground.nodes], deadline.within(10))
        if copied is not None and not self._begun(deadline):
            hands.do(self.name, deadline, "stop slave", "reset slave all", "reset master")
            hands.ask(self.name, partial(_begin_at, str(copied)), deadline)
        elif copied is None:
            self._nothing_own(deadline)
        own = copied is None
        hands.follow(self.name, self.primary, deadline, own=own, fresh=True, acks=acks)
        hands.see_follow(self.name, self.primary, deadline)
        return {}

    def _begun(self, deadline: Deadline) -> bool:
        """Whether it follows since it was copied (the run was killed then)."""
        return self.hands.looker.one(self.name, deadline).more["slave"] is not None

    def _nothing_own(self, deadline: Deadline) -> None:
        """Recovery may have brought back what its log did not show."""
        mine = self.hands.looker.one(self.name, deadline).more
        theirs = self.hands.looker.one(self.primary, deadline).more
        own = errant(state_of(mine["gtid_binlog_state"]), state_of(theirs["gtid_binlog_state"]),
                     position_of(theirs["gtid_slave_pos"]))  # fmt: skip
        if own:
            raise CheckFailed(
                f"{self.name} has what {self.primary} has not ({own}); again: "
                f"sre failover rejoin {self.decision.cluster} {self.name}"
            )

    def clean(self, _memory: Memory, deadline: Deadline) -> Note:
        self.build.clean(deadline)
        return {}

    def semi_sync(self, _memory: Memory, deadline: Deadline) -> Note:
        """Only now that it follows: set earlier, every commit would wait for nobody."""
        hands, semi = self.hands, self.facts["semi_sync"]
        hands.configure(self.primary, semi, deadline)
        if semi.get("rpl_semi_sync_master_enabled") != "ON":
            return {}

        def on() -> bool:
            said = hands.looker.one(self.primary, deadline).more
            return bool(said["rpl_semi_sync_master_status"] == "ON")

        hands.until("commits wait for a replica", on, deadline)
        return {}


def _begin_at(position: str, connection: Any) -> None:
    """The copy goes up to there."""
    with connection.cursor() as cursor:
        cursor.execute("set global gtid_slave_pos = %s", [position])
