"""What is done to change the primary on purpose, so that nothing acknowledged can be missing?

The old primary stops first: its walsenders send everything up to the checkpoint with which it
ends, and the new one is promoted only once it has replayed past that. What can be done before the
gap is done before it: settings, slots, the checkpoint; siblings move while the old one stops.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, SreError, Transient
from sre.failover.clusters.common.together import Silent, together
from sre.failover.clusters.common.traffic import Switches
from sre.failover.clusters.pg.after import After
from sre.failover.clusters.pg.asking import Later
from sre.failover.clusters.pg.hands import Hands
from sre.failover.clusters.pg.lsn import Control, lsn_text
from sre.failover.engine import Decision, Memory, Step

__all__ = ["switchover_steps"]

Note = Mapping[str, Any]
_NOTHING: Note = {}
_STOP_SECONDS = 20.0
_RECOVER_SECONDS = 60.0
_LINGER_SECONDS = 8.0
"""What still runs once pg_control says `shut down` (the archiver's last files) has so long."""


def switchover_steps(hands: Hands, switches: Switches, decision: Decision) -> tuple[Step, ...]:
    """In order; the same for the same decision."""
    do = _Switchover(hands, switches, decision)
    after = After(hands, switches, decision)
    old, new = decision.old, decision.new
    rejoin = Step("rejoin", f"start {old} as a standby of {new}", do.rejoin, vital=False,
                  seconds=60)  # fmt: skip
    steps = [
        Step("prepare", f"prepare {new} and the others", do.prepare, do.unprepare, seconds=20),
        Step("checkpoint", f"write out what {old} has in memory", do.checkpoint, seconds=300),
    ]
    if switches.pausing:
        steps.append(Step("pause", "let clients wait", do.pause, do.resume_back, seconds=8))
    steps += [
        Step("stop", f"stop {old}, no work for it, the others follow {new}", do.stop, do.restart,
             seconds=_STOP_SECONDS),
        Step("verify", f"see that {new} has everything that {old} had", do.verify, seconds=20),
        Step("promote", f"make {new} primary", after.promote, no_return=True, seconds=60),
        *after.to_the_new(rejoin),  # first, for a commit may wait for the old one alone
        after.put_back(),
        Step("tidy", f"drop slots on {old} that nobody uses", do.tidy, vital=False, seconds=10),
    ]  # fmt: skip
    return tuple(steps)


class _Switchover:
    """The acts of one switchover."""

    def __init__(self, hands: Hands, switches: Switches, decision: Decision) -> None:
        self.hands, self.switches, self.decision = hands, switches, decision
        self.old, self.new = decision.old, decision.new
        self.siblings: list[str] = list(decision.facts["siblings"])
        self.node = hands.ground.node(self.old)
        self.stopped: Later | None = None

    def prepare(self, _memory: Memory, deadline: Deadline) -> Note:
        hands, facts = self.hands, self.decision.facts
        names = self._slots()
        if names:
            hands.slots(self.new, names, deadline)
        new: dict[str, str | None] = {"wal_retrieve_retry_interval": "100ms"}
        new["synchronous_standby_names"] = facts["names"]

        def prepare(name: str) -> None:
            quick = {"wal_retrieve_retry_interval": "100ms"}
            hands.change(name, new if name == self.new else quick, deadline)

        hands.each([self.new, *self.siblings], prepare)
        template = hands.conninfo(self.old, deadline) or hands.conninfo(self.new, deadline)
        way = hands.way(self.old, self.new, template)  # heeded once it is a standby
        own: dict[str, str | None] = {"primary_conninfo": way, "primary_slot_name": self._slot()}
        hands.change(self.old, own, deadline)
        return _NOTHING

    def unprepare(self, _memory: Memory, deadline: Deadline) -> None:
        facts = self.decision.facts
        before: dict[str, dict[str, str | None]] = {}
        for setting, key in (
            ("wal_retrieve_retry_interval", "retry"),
            ("synchronous_standby_names", "names_before"),
            ("primary_slot_name", "slot_before"),
        ):
            for name, value in facts[key].items():
                before.setdefault(name, {})[setting] = value
        self.hands.each(before, lambda name: self.hands.change(name, before[name], deadline))
        made = set(self._slots()) - set(facts["slots_before"])
        self.hands.drop_slots(self.new, made, deadline)

    def _slot(self) -> str:
        """The slot that the old primary will use; empty where nobody uses any."""
        slots = self.decision.facts["slots"]
        if not slots:
            return ""
        mine = slots.get(self.old)
        if mine and mine not in {slots[each] for each in slots if each != self.old}:
            return str(mine)
        return slot_name(self.old)

    def _slots(self) -> list[str]:
        slots = self.decision.facts["slots"]
        return [slots[each] for each in self.siblings if each in slots] + (
            [self._slot()] if self._slot() else []
        )

    def checkpoint(self, _memory: Memory, deadline: Deadline) -> Note:
        self.hands.ask(self.old, lambda connection: connection.execute("checkpoint"), deadline)
        silent = list(self.decision.facts.get("silent", ()))
        if silent:  # the old one would wait for a frozen standby's last word, a minute long
            self.hands.end_senders(self.old, silent, deadline)
        return _NOTHING

    def pause(self, _memory: Memory, deadline: Deadline) -> Note:
        self.switches.pause(deadline)
        return _NOTHING

    def resume_back(self, _memory: Memory, deadline: Deadline) -> None:
        self.switches.resume(deadline)

    @property
    def _signal(self) -> str:
        return f"{self.node.service.data_dir.rstrip('/')}/standby.signal"

    def stop(self, _memory: Memory, deadline: Deadline) -> Note:
        """Everything at once; what was waited for is over when pg_control says `shut down`."""
        node, hands = self.node, self.hands
        stopped = Later(lambda: node.control.stop(node.service, "fast", deadline), self.old)
        jobs: dict[str, Any] = {
            f"follow {name}": self._following(name, deadline) for name in self.siblings
        }
        # whoever starts it again by hand from now on starts a standby, and no second primary
        jobs["signal"] = lambda: node.control.write(node.service, self._signal, b"", deadline)
        jobs["left"] = lambda: hands.left_in_order(node, deadline)
        jobs["close"] = lambda: self._close(deadline)
        stopped.start()
        found: dict[str, Any] = together(jobs)
        for name in ("left", "close"):  # one that does not follow yet is told again later
            answer = found[name]
            if isinstance(answer, SreError):
                stopped.join(deadline)
                raise answer
        left: Control = found["left"]
        if not left.clean:
            stopped.join(deadline)
            raise CheckFailed(f"{self.old} was not left in order: {left.state!r}")
        self.stopped = stopped
        return {"checkpoint": left.checkpoint}

    def _close(self, deadline: Deadline) -> None:
        """No work for the old one from the moment on at which it ends our session, as all others:
        earlier, clients would wait for the time that it takes to find its processes."""
        with contextlib.suppress(SreError):
            self.hands.ask(self.old, lambda c: c.execute("select pg_sleep(600)"), deadline)
        self.switches.close(self.old, deadline, waiting=True)

    def _following(self, name: str, deadline: Deadline) -> Any:
        return lambda: self.hands.follow(name, self.new, deadline.within(1))

    def restart(self, _memory: Memory, deadline: Deadline) -> None:
        """The old one takes writes again: also when it hangs half-way down."""
        hands, node = self.hands, self.node
        until = Deadline.after(_RECOVER_SECONDS, hands.ground.clock)
        together({f"back {name}": self._back(name, until) for name in self.siblings})
        node.control.remove(node.service, self._signal, until)
        if not self._serves(deadline.within(0.5)):
            if self.stopped is not None:
                self.stopped.join(until.within(5))
            node.control.kill(node.service, until)  # it is going down and takes nobody
            node.control.start(node.service, until)
        hands.until(f"{self.old} takes writes again", lambda: self._serves(until), until)
        hands.each(self.siblings, lambda name: hands.follow(name, self.old, until.within(5)))
        self.switches.open(self.old, until)

    def _back(self, name: str, deadline: Deadline) -> Any:
        return lambda: self.hands.follow(name, self.old, deadline.within(5))

    def _serves(self, deadline: Deadline) -> bool:
        try:
            return not self.hands.recovering(self.old, deadline.within(2))
        except Silent:
            return False

    def verify(self, memory: Memory, deadline: Deadline) -> Note:
        hands, checkpoint = self.hands, int(memory["stop"]["checkpoint"])
        try:
            hands.until(
                f"{self.new} replays up to {lsn_text(checkpoint)}",
                lambda: hands.replayed(self.new, deadline) > checkpoint,
                deadline.within(10),
            )
        except Transient as error:
            has = lsn_text(hands.replayed(self.new, deadline))
            raise CheckFailed(f"{error}; it has {has}") from error
        return {"checkpoint": lsn_text(checkpoint)}

    def rejoin(self, _memory: Memory, deadline: Deadline) -> Note:
        hands, node = self.hands, self.node
        if self.stopped is not None:
            self.stopped.join(deadline.within(_LINGER_SECONDS))
        if not hands.looker.answers(self.old):
            # it was left in order; whom it still waits for (a standby that is frozen) it waits in
            # vain, and commits may wait for it
            node.control.kill(node.service, deadline)
            node.control.write(node.service, self._signal, b"", deadline)
            node.control.start(node.service, deadline)
        hands.until(f"{self.old} streams from {self.new}",
                    lambda: hands.streams(self.old, deadline, self.new), deadline,
                    on=(self.old, self.new))  # fmt: skip
        return _NOTHING

    def tidy(self, _memory: Memory, deadline: Deadline) -> Note:
        """As a standby it would hold log for slots that nobody asks any more."""
        slots = self.decision.facts["slots"]
        unused = {slots[each] for each in (self.new, *self.siblings) if each in slots}
        self.hands.drop_slots(self.old, unused, deadline)
        return _NOTHING


def slot_name(node: str) -> str:
    """A name for a node's slot that PostgreSQL takes."""
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in node.lower())
