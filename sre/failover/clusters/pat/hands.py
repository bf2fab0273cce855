"""What is done to Patroni, to its nodes and to the traffic before them? (effects)"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, Refused, SreError, Transient
from sre.core.process import run
from sre.failover.clusters.common.together import Silent, together
from sre.failover.clusters.common.traffic import Switches
from sre.failover.clusters.pat.api import Answer, Api, Unheard, refusal
from sre.failover.clusters.pat.look import Looker
from sre.failover.clusters.pat.said import Said
from sre.failover.clusters.pat.tame import tamed
from sre.failover.engine import Ground, Placed
from sre.failover.snapshot import Snapshot

if TYPE_CHECKING:
    from sre.failover.clusters.pg.asking import Line

__all__ = ["Hands"]

_POLL = 0.02
_ASK = 3.0


class Hands:
    """Everything that steps need."""

    def __init__(
        self, ground: Ground, apis: Mapping[str, Api], lines: Mapping[str, Line], looker: Looker,
        members: Mapping[str, str],
    ) -> None:  # fmt: skip
        self.ground, self.apis, self.lines = ground, apis, lines
        self.looker, self.members = looker, members

    def switches(self, names: list[str]) -> Switches:
        """Some of the switches."""
        some = {name: each for name, each in self.ground.switches.items() if name in names}
        return Switches(replace(self.ground, switches=some))

    def post(
        self,
        first: str,
        path: str,
        body: Mapping[str, Any],
        deadline: Deadline,
        method: str = "POST",
    ) -> tuple[str, Answer]:
        """The answer, and of whom: of `first`, of another when nobody was reached there.

        Raises:
            Unheard: it may have been heard, or nobody could be reached at all.
        """
        last: Unheard | None = None
        for name in (first, *(each for each in self.apis if each != first)):
            try:
                return name, self.apis[name].ask(method, path, body, deadline)
            except Unheard as error:
                last = error
                if error.sent:
                    raise
        raise last or Unheard("there is no member", "refused", sent=False)

    def login(self, name: str, deadline: Deadline) -> None:
        """Whether Patroni would let us change anything: asked for what is no change.

        A switchover that names no leader is refused by every Patroni, after it looked who asks.
        """
        who, answer = self.post(name, "/switchover", {"leader": ""}, deadline)
        if answer.status in (401, 403):
            raise refusal(answer, who)

    def look(self, deadline: Deadline) -> Snapshot:
        """A picture of now."""
        return self.looker.look(deadline.within(10))

    def role(self, name: str, deadline: Deadline) -> tuple[str, str, int]:
        """Role, state and timeline as a member says; roles are `primary` and `replica`."""
        own = self.looker.state(name, deadline.within(_ASK))
        role = "primary" if own.get("role") in ("master", "primary") else str(own.get("role"))
        timeline = own.get("timeline")
        return role, str(own.get("state")), timeline if isinstance(timeline, int) else 0

    def holder(self, deadline: Deadline) -> str:
        """The node that holds the leader's key, as the first says that can read it.

        Raises Transient: nobody can.
        """
        found = together(
            {
                name: lambda api=api: api.get("/cluster", deadline.within(_ASK))  # type: ignore[misc]
                for name, api in self.apis.items()
            }
        )
        for answer in found.values():
            if isinstance(answer, Answer) and answer.ok and isinstance(answer.body, dict):
                told = tamed(Said(cluster=answer.body)).cluster or {}
                holds = [row["name"] for row in told["members"] if row["role"] == "leader"]
                known = {member: node for node, member in self.members.items()}
                return known.get(holds[0], str(holds[0])) if holds else ""
        raise Transient("no Patroni can say who leads")

    def until(self, what: str, done: Callable[[], bool], deadline: Deadline) -> None:
        """Ask again until it is so; a member that does not answer is asked again.

        Raises Transient at the deadline: what has not come, and the last word about it.
        """
        last = ""
        while True:
            try:
                if done():
                    return
                last = ""
            except Transient as error:
                last = f" ({error})"
            if deadline.passed():
                raise Transient(f"{what}: not within the time given{last}")
            self.ground.clock.sleep(_POLL)

    def write(self, name: str, deadline: Deadline) -> None:
        """A real commit, through the log and the standbys that it waits for; changes no data."""
        text = b"select pg_logical_emit_message(true, 'sre', '')"
        self.lines[name].ask(lambda c: c.execute(text), deadline)

    def checkpoint(self, name: str, deadline: Deadline) -> None:
        """What is in memory is written out, so that the end takes less."""
        self.lines[name].ask(lambda c: c.execute(b"checkpoint"), deadline)

    def end_patroni(self, node: Placed, deadline: Deadline) -> str:
        """Patroni and PostgreSQL of a node are dead, and stay so; by what.

        Raises:
            Refused: neither control nor a fence program can do it.
            CheckFailed: one of them said so, and it is not so.
        """
        try:
            self._by_control(node, deadline)
        except SreError as error:
            if not node.fence:
                raise
            done = run(node.fence, deadline)
            if not done.ok:
                why = "it took too long" if done.timed_out else done.stderr.strip()[-300:]
                raise CheckFailed(
                    f"{error}; and {node.fence[0]} ended with {done.returncode}: {why}"
                ) from error
            self._cut_off(node.name, deadline)
            return "program"
        return "control"

    def _by_control(self, node: Placed, deadline: Deadline) -> None:
        """Patroni first, or it would start PostgreSQL again; both are seen gone at the end."""
        service, control, own = node.service, node.control, node.own
        if not service.data_dir or (not own.stop and getattr(control, "unit", None) == ""):
            raise Refused(f"nothing says how Patroni is ended on {node.name}; give stop:")
        control.mask(service, deadline)
        if own.stop:
            done = control.run(service, own.stop, deadline)
            if not done.ok:
                raise CheckFailed(f"{own.stop[0]} on {node.name}: {done.stderr.strip()[-300:]}")
        control.kill(service, deadline)  # a unit is stopped by it as well
        what = f"what should end Patroni on {node.name} did not"
        self.until(what, lambda: self._refuses(node.name, deadline), deadline.within(8))
        control.kill(service, deadline)  # what it started meanwhile
        life = control.life(service, deadline.within(_ASK))
        if life.state != "dead":
            raise CheckFailed(f"{node.name} was killed, but is {life.state}: {life.why}")
        self._no_sql(node.name, deadline)

    def _refuses(self, name: str, deadline: Deadline) -> bool:
        """Nobody listens where its Patroni was; to say nothing is not enough."""
        try:
            self.looker.state(name, deadline.within(_ASK))
        except Silent as error:
            if error.state == "refused":
                return True
            raise
        raise Transient(f"Patroni on {name} still answers")

    def _cut_off(self, name: str, deadline: Deadline) -> None:
        """Neither its Patroni nor its PostgreSQL answers us any more."""
        try:
            self.looker.state(name, deadline.within(1.0))
        except (Silent, CheckFailed):
            self._no_sql(name, deadline)
            return
        raise CheckFailed(f"its fence program ended with 0, but Patroni on {name} still answers")

    def _no_sql(self, name: str, deadline: Deadline) -> None:
        if name not in self.lines:
            return
        try:
            self.lines[name].ask(lambda c: c.execute(b"select 1"), deadline.within(1.0))
        except SreError:
            return
        raise CheckFailed(f"something still answers at the dsn of {name}: mend data_dir: or dsn:")

    def start_patroni(self, node: Placed, deadline: Deadline) -> None:
        """Patroni of a node runs again; it starts PostgreSQL as what it may be."""
        service, own = node.service, node.own
        node.control.unmask(service, deadline)
        if own.start:
            done = node.control.run(service, own.start, deadline)
            if not done.ok:
                raise CheckFailed(f"{own.start[0]} on {node.name}: {done.stderr.strip()[-300:]}")
        else:
            node.control.start(service, deadline)
        self.until(f"Patroni on {node.name} answers",
                   lambda: bool(self.looker.state(node.name, deadline)), deadline)  # fmt: skip
