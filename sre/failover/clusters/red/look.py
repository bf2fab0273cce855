"""How is a whole set asked at once, sentinels too, and what is kept between two looks? (effects)"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from sre.core.clock import Deadline
from sre.core.errors import SreError, Transient
from sre.failover.clusters.common.together import Silent, in_time, together
from sre.failover.clusters.red.asking import Line
from sre.failover.clusters.red.reading import (
    node_questions,
    read_node,
    read_sentinel,
    sentinel_questions,
)
from sre.failover.clusters.red.seen import Answer, Heard, Machine, assemble, node_seen
from sre.failover.engine import Ground, Placed
from sre.failover.snapshot import NodeSeen, Snapshot
from sre.failover.switches import Way

__all__ = ["Looker"]

_ASK_SECONDS = 1.5
_CARE_SECONDS = 3.0
_CARE_EVERY = 30.0
_REMEMBER_EVERY = 1.0
_RESOLVE_EVERY = 30.0


class Looker:
    """Looks at one cluster, again and again."""

    def __init__(
        self, ground: Ground, lines: Mapping[str, Line], watches: Mapping[str, Line], master: str
    ) -> None:
        self._ground, self._lines = ground, lines
        self._watches, self._master = watches, master
        self._machines: dict[str, tuple[float, Machine]] = {}
        self._resolved: dict[str, tuple[float, list[str]]] = {}
        self._remembered: dict[str, Any] | None = None
        self._published = float("-inf")

    def look(self, deadline: Deadline) -> Snapshot:
        """Everybody at once. Raises UsageError: a dsn cannot be read."""
        ground = self._ground
        jobs: dict[str, Callable[[], Any]] = {}
        for node in ground.nodes:
            jobs[f"node {node.name}"] = partial(self._node, node, deadline)
            jobs[f"where {node.name}"] = partial(self._known, node, deadline)
        for name in self._watches:
            jobs[f"sentinel {name}"] = partial(self.sentinel, name, deadline)
        for name, switch in ground.switches.items():
            jobs[f"switch {name}"] = partial(switch.look, deadline.within(_ASK_SECONDS))
        found: dict[str, Any] = together(jobs)
        for name in jobs:
            if isinstance(found[name], SreError) and not name.startswith("switch "):
                raise found[name]
        ways: dict[str, Way | str] = {}
        for name in ground.switches:
            way = found[f"switch {name}"]
            ways[name] = str(way) if isinstance(way, SreError) else way
        heard = Heard(
            {each.name: found[f"node {each.name}"][0] for each in ground.nodes},
            {name: found[f"sentinel {name}"] for name in self._watches},
            {each.name: found[f"node {each.name}"][1] for each in ground.nodes},
            ways, {each.name: each.server for each in ground.nodes},
            {each.name: found[f"where {each.name}"] for each in ground.nodes}, self._recall(),
        )  # fmt: skip
        seen = assemble(ground.cluster, ground.clock.wall(), heard)
        self._remember(seen)
        return seen

    def one(self, name: str, deadline: Deadline) -> NodeSeen:
        """One node alone. Raises Transient: it does not answer, or not with what is needed."""
        said = self._lines[name].ask(node_questions(), deadline)
        try:
            return node_seen(name, Answer(read_node(said)))
        except ValueError as error:
            raise Transient(f"{name}: {error}") from error

    def answers(self, name: str) -> bool:
        """Whether something answers where a node is, within a second."""
        try:
            self._lines[name].ask([("PING",)], Deadline.after(1.0, self._ground.clock))
        except Silent as error:
            return error.state == "no-login"
        return True

    def sentinel(self, name: str, deadline: Deadline) -> Answer:
        """What a sentinel says."""
        questions = sentinel_questions(self._master)
        try:
            said = self._watches[name].ask(questions, deadline.within(_ASK_SECONDS))
            return Answer(read_sentinel(said))
        except (Silent, ValueError) as error:
            return Answer(state="silent", why=str(error))

    def address(self, name: str) -> tuple[str, int]:
        """Where other nodes reach a node. Raises UsageError."""
        node = self._ground.node(name)
        if node.own.address:
            host, _, port = node.own.address.rpartition(":")
            return host.strip("[]"), int(port)
        place = self._lines[name].place
        return place.host, place.port

    def known(self, name: str) -> list[str]:
        """Every address by which a node may be meant."""
        return self._known(self._ground.node(name), Deadline.after(2.0, self._ground.clock))

    def _known(self, node: Placed, deadline: Deadline) -> list[str]:
        now = self._ground.clock.now()
        before = self._resolved.get(node.name)
        if before is not None and now - before[0] < _RESOLVE_EVERY:
            return before[1]
        place = self._lines[node.name].place
        pairs = list(dict.fromkeys([self.address(node.name), (place.host, place.port)]))
        known = [f"{host}:{port}" for host, port in pairs]
        for host, port in pairs:
            with contextlib.suppress(Silent, OSError, UnicodeError):
                known += in_time(
                    f"resolve {host}", partial(_resolve, host, port),
                    deadline.within(_ASK_SECONDS), lambda: None,
                )  # fmt: skip
        self._resolved[node.name] = (now, known)
        return known

    def _node(self, node: Placed, deadline: Deadline) -> tuple[Answer, Machine]:
        until = deadline.within(_ASK_SECONDS)
        try:
            said = read_node(self._lines[node.name].ask(node_questions(), until))
        except Silent as error:
            answer = Answer(state=error.state, why=str(error))
        except ValueError as error:
            answer = Answer(state="no-login", why=f"{node.name}: {error}")
        else:
            return Answer(said), self._machine(node, deadline)
        life = node.control.life(node.service, deadline.within(_ASK_SECONDS))
        known = self._machines.get(node.name, (0.0, Machine()))[1]
        unreachable = life.why or "no answer" if life.state == "unknown" else ""
        return answer, Machine(known.missing, unreachable, life)

    def _machine(self, node: Placed, deadline: Deadline) -> Machine:
        now = self._ground.clock.now()
        known = self._machines.get(node.name)
        if known is None or now - known[0] > _CARE_EVERY:
            try:
                until = deadline.within(_CARE_SECONDS)
                machine = Machine(tuple(node.control.check(node.service, until)))
            except Transient as error:
                machine = Machine(unreachable=str(error))
            except SreError as error:
                machine = Machine(missing=(str(error),))
            self._machines[node.name] = (now, machine)
        return self._machines[node.name][1]

    def _recall(self) -> Mapping[str, Any]:
        """What was last seen of a healthy cluster, by whoever looked."""
        if self._ground.facts is not None:
            with contextlib.suppress(SreError):
                fact = self._ground.facts.read(self._fact)
                if fact is not None:
                    self._remembered = {**fact.value, "at": fact.at}
        return self._remembered or {}

    @property
    def _fact(self) -> str:
        return f"failover/{self._ground.cluster}/seen"

    def _remember(self, seen: Snapshot) -> None:
        """For the day on which the primary cannot be asked any more."""
        primaries, now = seen.primaries(), self._ground.clock.now()
        if len(primaries) != 1 or now - self._published < _REMEMBER_EVERY:
            return
        primary = primaries[0]
        value = {"primary": primary.name, "replid": primary.more["replid"],
                 "position": primary.position}  # fmt: skip
        self._published = now
        self._remembered = {**value, "at": seen.at}
        if self._ground.facts is not None:
            with contextlib.suppress(SreError):  # to look must not fail for a full disk
                self._ground.facts.publish(self._fact, value)


def _resolve(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return sorted({f"{each[4][0]}:{port}" for each in found})
