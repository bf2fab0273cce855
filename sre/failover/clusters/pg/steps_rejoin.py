"""How does a former primary become a standby again, and what it alone had is kept first?

It is stopped; its log from where the histories parted is copied away; it is rewound, or, where that
cannot be, copied anew beside its old folder. It starts as a standby or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sre.core.clock import Deadline
from sre.core.errors import SreError
from sre.failover.clusters.common.traffic import Switches
from sre.failover.clusters.pg.hands import Hands
from sre.failover.clusters.pg.lsn import Control, parse_history
from sre.failover.clusters.pg.rebuild import Rebuild
from sre.failover.clusters.pg.steps_switchover import slot_name
from sre.failover.engine import Decision, Memory, Step

__all__ = ["rejoin_steps"]

Note = Mapping[str, Any]
_HOURS = 12 * 3600.0


def rejoin_steps(hands: Hands, switches: Switches, decision: Decision) -> tuple[Step, ...]:
    """In order; the same for the same decision."""
    do = _Rejoin(hands, switches, decision)
    node, primary = decision.new, decision.old
    steps = []
    if switches.some:
        steps.append(Step("close", f"no work for {node}", do.close, phase="traffic"))
    if not decision.facts["streams"]:
        steps += [
            Step("stop", f"stop PostgreSQL on {node}", do.stop, seconds=120),
            Step("source", f"write out what {primary} has in memory", do.source, seconds=300),
            Step("save", f"keep the log that {node} alone has", do.save, seconds=600),
            Step("rebuild", f"make {node} a copy of {primary} again", do.rebuild, no_return=True,
                 seconds=_HOURS),
            Step("start", f"start {node} as a standby", do.start, seconds=120),
            Step("stream", f"see that {node} streams", do.stream, seconds=120),
            Step("clean", f"remove what {node} does not need any more", do.clean, vital=False,
                 seconds=600),
        ]  # fmt: skip
    elif not decision.facts.get("known", True):
        steps.append(Step("follow", f"let {node} follow {primary} itself", do.follow, seconds=60))
    steps.append(Step("synchronous", "let commits wait for standbys again", do.synchronous,
                      vital=False, seconds=30))  # fmt: skip
    return tuple(steps)


class _Rejoin:
    """The acts of one rejoin."""

    def __init__(self, hands: Hands, switches: Switches, decision: Decision) -> None:
        self.hands, self.switches, self.decision = hands, switches, decision
        self.name, self.primary = decision.new, decision.old
        self.node = hands.ground.node(decision.new) if decision.new else hands.ground.nodes[0]
        self.facts = decision.facts

    def close(self, _memory: Memory, deadline: Deadline) -> Note:
        self.switches.close(self.name, deadline, waiting=False)
        self.switches.settle(deadline)
        return {}

    def stop(self, _memory: Memory, deadline: Deadline) -> Note:
        node = self.node
        try:
            node.control.stop(node.service, "fast", deadline.within(30))
        except SreError:
            node.control.kill(node.service, deadline)  # frozen, or it does not end
        return {}

    def source(self, _memory: Memory, deadline: Deadline) -> Note:
        """pg_rewind believes the control file of its source; the slot holds what is needed."""
        if self._slot():
            self.hands.slots(self.primary, [self._slot()], deadline)
        self.hands.ask(self.primary, lambda c: c.execute("checkpoint"), deadline)
        return {}

    def _slot(self) -> str:
        mine = str(self.facts["slot"])
        if mine and mine not in self.facts["taken"]:
            return mine
        return slot_name(self.name) if self.facts["slots_in_use"] else ""

    def save(self, _memory: Memory, deadline: Deadline) -> Note:
        """Before anything of it is overwritten; a node that was just set up has nothing."""
        if Rebuild(self.hands, self.node).empty(deadline):
            return {"state": "empty", "diverged": True}
        left = self.hands.pg_control(self.node, deadline)
        if not self._diverged(left):
            return {"state": left.state, "diverged": False}
        fork = self._fork(left)
        stamp = datetime.fromtimestamp(float(self.facts["at"]), UTC).strftime("%Y%m%dT%H%M%SZ")
        rebuild = Rebuild(self.hands, self.node)
        first = f"{left.timeline:08X}{_segment_of(fork, int(self.facts['segment']))}"
        kept, files = rebuild.keep_log(first, stamp, deadline)
        rebuild.keep_settings(deadline)
        return {"state": left.state, "diverged": True, "kept": kept, "files": files}

    def _diverged(self, left: Control) -> bool:
        """Whether it may have log that the primary has not."""
        if left.system != self.facts["system"]:
            return True
        if left.state == "shut down":
            return left.timeline < self.facts["timeline"] and left.checkpoint >= self._fork(left)
        return True

    def _fork(self, left: Control) -> int:
        """Where the primary's history left the timeline of this node."""
        forks = {each.timeline: each.at for each in parse_history(str(self.facts["history"]))}
        return forks.get(left.timeline, left.checkpoint)

    def rebuild(self, memory: Memory, deadline: Deadline) -> Note:
        if not memory["save"]["diverged"]:
            return {"way": "none needed"}
        return Rebuild(self.hands, self.node).rebuild(
            self.primary, deadline,
            version=int(self.facts["version"]), rewindable=bool(self.facts["rewindable"])
            and memory["save"]["state"] != "empty",
        )  # fmt: skip

    def start(self, _memory: Memory, deadline: Deadline) -> Note:
        node, hands = self.node, self.hands
        if not hands.looker.answers(self.name):
            siblings = [each.name for each in hands.ground.nodes if each.name != self.name]
            hands.as_standby(node, self.primary, self._template(siblings, deadline),
                             self._slot(), deadline)  # fmt: skip
            node.control.unmask(node.service, deadline)
            node.control.start(node.service, deadline)
        hands.until(f"{self.name} answers", lambda: hands.value(self.name, "select 1", deadline),
                    deadline, on=(self.name,))  # fmt: skip
        return {}

    def _template(self, names: list[str], deadline: Deadline) -> str:
        """How any of the others logs in; the primary knows it too when it was a standby once."""
        for name in names:
            try:
                found = self.hands.conninfo(name, deadline.within(3))
            except SreError:
                continue
            if found:
                return found
        return ""

    def follow(self, memory: Memory, deadline: Deadline) -> Note:
        """It streams from another standby: its data is right, and it counts for no commit."""
        if self.facts["slot"]:
            self.hands.slots(self.primary, [self.facts["slot"]], deadline)
        self.hands.follow(self.name, self.primary, deadline)
        return self.stream(memory, deadline)

    def stream(self, _memory: Memory, deadline: Deadline) -> Note:
        hands = self.hands
        hands.until(f"{self.name} streams from {self.primary}",
                    lambda: hands.streams(self.name, deadline, self.primary), deadline,
                    on=(self.name, self.primary))  # fmt: skip
        return {}

    def clean(self, _memory: Memory, deadline: Deadline) -> Note:
        Rebuild(self.hands, self.node).clean(deadline)
        return {}

    def synchronous(self, _memory: Memory, deadline: Deadline) -> Note:
        """Only now that it streams: set earlier, every commit would hang."""
        hands, names = self.hands, str(self.facts["names"])
        if not names:
            return {}
        shown = "select current_setting('synchronous_standby_names')"
        if hands.value(self.primary, shown, deadline) != names:
            hands.change(self.primary, {"synchronous_standby_names": names}, deadline)
        counted = (
            "select count(*) > 0 from pg_stat_replication where sync_state in ('sync', 'quorum')"
        )
        hands.until("a standby counts for commits",
                    lambda: hands.value(self.primary, counted, deadline), deadline)  # fmt: skip
        return {"names": names}


def _segment_of(position: int, size: int) -> str:
    """The last 16 digits of the name of the file in which a position lies."""
    number, each = position // size, 2**32 // size
    return f"{number // each:08X}{number % each:08X}"
