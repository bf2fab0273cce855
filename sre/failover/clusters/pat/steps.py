"""What is done so that Patroni changes its leader, and how does one know that it has?

Patroni is asked, and then looked at until it has come to an end: its own answer may be "status
unknown" while it goes on. Before its leader begins to step down everything can be taken back.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, SreError, Transient
from sre.failover.clusters.pat.api import Answer, Unheard, refusal
from sre.failover.clusters.pat.asked import Asked
from sre.failover.clusters.pat.hands import Hands
from sre.failover.engine import Decision, Memory, Step

__all__ = ["change_steps"]

Note = Mapping[str, Any]
_LOOK_SECONDS = 3.0
"""The last look, too, has time for an answer."""


def change_steps(hands: Hands, decision: Decision) -> tuple[Step, ...]:
    """In order, for a switchover or a failover; the same for the same decision."""
    do, new = _Change(hands, decision), decision.new
    limit = float(decision.facts["timeout"])
    return (
        *_before(do),
        Step("request", f"ask Patroni to make {new} leader", do.request, phase="promote",
             seconds=limit),
        Step("promoted", f"see that {new} leads and is primary", do.promoted, no_return=True,
             phase="promote", seconds=limit),
        *_traffic(do),
        *_after(do),
    )  # fmt: skip


def _before(do: _Change) -> Iterator[Step]:
    old, switchover = do.old, do.decision.action == "switchover"
    yield Step("login", f"see that Patroni on {do.first} lets us in", do.login, seconds=10)
    if switchover and old in do.hands.lines:
        yield Step("checkpoint", f"write out what {old} has in memory", do.checkpoint, seconds=60)
    if do.decision.facts.get("fence"):
        yield Step("fence", f"end Patroni and PostgreSQL on {old}, and see them dead", do.fence,
                   seconds=45)  # fmt: skip
    if do.all.pausing:
        yield Step("pause", "let clients wait", do.pause, do.resume_back, seconds=8)


def _traffic(do: _Change) -> Iterator[Step]:
    if do.told.some:
        yield Step("repoint", f"all work to {do.new}", do.repoint, phase="traffic", seconds=10)
    if do.all.pausing:
        yield Step("resume", "let clients go on", do.resume, phase="traffic", seconds=10)


def _after(do: _Change) -> Iterator[Step]:
    new = do.new
    if new in do.hands.lines:
        yield Step("write", f"write on {new}", do.write, vital=False, seconds=30)
    if do.decision.facts["alone"]:
        yield Step("through", f"see that work goes to {new}", do.through, phase="checks",
                   vital=False, seconds=30)  # fmt: skip
    if do.told.some:
        yield Step("settle", "write it into the files of the switches", do.settle, phase="files",
                   mends=("traffic",), vital=False, seconds=30)  # fmt: skip
    if do.decision.action == "switchover":
        limit = max(60.0, float(do.decision.facts["timeout"]))
        yield Step("rejoin", f"see that {do.old} follows {new}", do.follows, vital=False,
                   seconds=limit)  # fmt: skip


class _Change:
    """The acts of one change of the leader."""

    def __init__(self, hands: Hands, decision: Decision) -> None:
        self.hands, self.decision = hands, decision
        self.old, self.new = decision.old, decision.new
        self.first = self.old if decision.action == "switchover" else self.new
        self.all = hands.switches(list(hands.ground.switches))
        self.told = hands.switches(list(decision.facts["told"]))

    def login(self, _memory: Memory, deadline: Deadline) -> Note:
        self.hands.login(self.first, deadline)
        return {}

    def checkpoint(self, _memory: Memory, deadline: Deadline) -> Note:
        try:
            self.hands.checkpoint(self.old, deadline)
        except CheckFailed as error:  # it may do without
            return {"skipped": str(error)}
        return {}

    def fence(self, _memory: Memory, deadline: Deadline) -> Note:
        return {"by": self.hands.end_patroni(self.hands.ground.node(self.old), deadline)}

    def pause(self, _memory: Memory, deadline: Deadline) -> Note:
        self.all.pause(deadline)
        return {}

    def resume_back(self, _memory: Memory, deadline: Deadline) -> None:
        self.all.resume(deadline)

    def request(self, _memory: Memory, deadline: Deadline) -> Note:
        """Asked; returns once the change is under way, or nobody can tell whether it will be.

        Raises:
            CheckFailed: Patroni refused, or gave it up with the old leader still leading.
        """
        if self._under_way(deadline):
            return {"answer": "it was under way already"}
        asked = Asked(lambda: self._post(Deadline.after(3600, self.hands.ground.clock)))
        asked.start()
        while True:
            if self._under_way(deadline):
                return {}
            answer = asked.answer()
            if isinstance(answer, SreError):
                if isinstance(answer, Unheard) and answer.sent:
                    return {"answer": str(answer)}
                raise answer
            if answer is not None:
                return self._judged(*answer, deadline)
            if deadline.passed():
                return {"answer": "none yet"}
            self.hands.ground.clock.sleep(0.02)

    def _post(self, deadline: Deadline) -> tuple[str, Answer]:
        members, way = self.hands.members, self.decision.action
        body = {"candidate": members[self.new]}
        if way == "switchover":
            body["leader"] = members[self.old]
        return self.hands.post(self.first, f"/{way}", body, deadline)

    def _judged(self, who: str, answer: Answer, deadline: Deadline) -> Note:
        """A refusal is one only when nothing is under way; `unknown` is not the end of it."""
        if not answer.ok and "unknown" not in answer.words and not self._under_way(deadline):
            raise refusal(answer, who)
        return {"answer": f"{answer.status}: {answer.words}"}

    def _under_way(self, deadline: Deadline) -> bool:
        """The new one is primary, or the old one is no longer."""
        hands = self.hands
        with contextlib.suppress(Transient):
            if hands.role(self.new, deadline)[0] == "primary":
                return True
        if self.decision.action == "failover":
            return False
        try:
            role, state, _ = hands.role(self.old, deadline)
        except Transient:
            return False
        return role != "primary" or state != "running"

    def promoted(self, memory: Memory, deadline: Deadline) -> Note:
        """Its terminal state: the new one leads, or it is certain that it will not.

        Clients that wait go on in any case.
        """
        try:
            return self._promoted(memory, deadline)
        except SreError:
            self._let_go(Deadline.after(10, self.hands.ground.clock))
            raise

    def _promoted(self, memory: Memory, deadline: Deadline) -> Note:
        answer = str(memory.get("request", {}).get("answer", ""))
        while True:
            holder = self._ended(Deadline.after(_LOOK_SECONDS, self.hands.ground.clock))
            if holder == self.new:
                return {"leader": holder}
            if holder and holder != self.old:
                raise CheckFailed(f"Patroni made {holder} leader in place of {self.new}; "
                                  f"sre failover resume {self.decision.cluster} --abandon REASON, "
                                  "then look")  # fmt: skip
            if deadline.passed():
                self._not_come(holder, answer)
            self.hands.ground.clock.sleep(0.02)

    def _ended(self, deadline: Deadline) -> str:
        """Who leads and runs as primary, on a later timeline when it is another one."""
        hands = self.hands
        try:
            if self._is_primary(self.new, deadline):
                return self.new if hands.holder(deadline) == self.new else ""
            holder = hands.holder(deadline)
            if holder in hands.members and self._is_primary(holder, deadline):
                return holder
        except Transient:
            return ""
        return ""

    def _is_primary(self, name: str, deadline: Deadline) -> bool:
        role, state, timeline = self.hands.role(name, deadline)
        later = name == self.old or timeline > int(self.decision.facts["timeline"])
        return role == "primary" and state == "running" and later

    def _not_come(self, holder: str, answer: str) -> None:
        cluster, said = self.decision.cluster, f" (it answered {answer})" if answer else ""
        if holder == self.old and self.old:
            raise CheckFailed(
                f"{self.old} still leads and takes writes; Patroni did not do it{said}: look at "
                f"its log, then sre failover resume {cluster} --abandon REASON"
            )
        raise Transient(
            f"Patroni has not come to an end{said}: {holder or 'nobody'} leads; look at "
            f"sre failover status {cluster}, then sre failover resume {cluster}"
        )

    def _let_go(self, deadline: Deadline) -> None:
        """Clients do not wait for ever; and where somebody else leads, they are led there."""
        with contextlib.suppress(SreError):
            holder = self.hands.holder(deadline)
            if holder not in ("", self.old, self.new) and holder in self.hands.members:
                self.told.repoint(holder, deadline)
        with contextlib.suppress(SreError):
            self.all.resume(deadline)

    def repoint(self, _memory: Memory, deadline: Deadline) -> Note:
        self.told.repoint(self.new, deadline)
        return {}

    def resume(self, _memory: Memory, deadline: Deadline) -> Note:
        self.all.resume(deadline)
        return {}

    def settle(self, _memory: Memory, deadline: Deadline) -> Note:
        self.told.settle(deadline)
        return {}

    def write(self, _memory: Memory, deadline: Deadline) -> Note:
        self.hands.write(self.new, deadline)
        return {}

    def through(self, _memory: Memory, deadline: Deadline) -> Note:
        """The checks of the switches have found the new one, and no other."""
        server = self.hands.ground.node(self.new).server
        for name in self.decision.facts["alone"]:
            switch = self.hands.ground.switches[name]

            def goes(switch: Any = switch) -> bool:
                way = switch.look(deadline.within(5))
                return [s.name for s in way.servers if s.state == "open" and s.healthy] == [server]

            self.hands.until(f"{name} sends work to {self.new}", goes, deadline)
        return {}

    def follows(self, _memory: Memory, deadline: Deadline) -> Note:
        old, new = self.old, self.new
        self.hands.until(
            f"{old} streams from {new}", lambda: streams(self.hands, old, new, deadline), deadline
        )
        return {}


def streams(hands: Hands, name: str, leader: str, deadline: Deadline) -> bool:
    """Whether the leader sees a member stream, and the member says it runs as a replica."""
    role, state, _ = hands.role(name, deadline)
    if role == "primary" or state not in ("running", "streaming"):
        return False
    rows = hands.looker.state(leader, deadline).get("replication") or []
    member = hands.members[name].lower()
    return any(
        str(row.get("application_name", "")).lower() == member and row.get("state") == "streaming"
        for row in rows
    )
