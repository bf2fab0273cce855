"""How is a whole cluster asked at once, and what is kept between two looks? (effects)

The engine's own connections stay open. What changes slowly (is the node's control whole, how
much room has it) is asked again in the background once it is older than half a minute.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, SreError, Transient
from sre.failover.clusters.common.together import Silent, together
from sre.failover.clusters.pg.asking import Later, Line, address_of
from sre.failover.clusters.pg.lsn import lsn_text
from sre.failover.clusters.pg.reading import read
from sre.failover.clusters.pg.seen import (
    Answer,
    Heard,
    Machine,
    assemble,
    node_seen,
)
from sre.failover.clusters.pg.wrong import process_of
from sre.failover.engine import Ground, Placed
from sre.failover.snapshot import NodeSeen, Snapshot
from sre.failover.switches import Way

__all__ = ["Looker"]

_ASK_SECONDS = 1.5
_SOON_SECONDS = 0.4
_CARE_SECONDS = 3.0
_CARE_EVERY = 30.0
_REMEMBER_EVERY = 1.0


class Looker:
    """Looks at one cluster, again and again."""

    def __init__(self, ground: Ground, lines: Mapping[str, Line]) -> None:
        self._ground, self._lines = ground, lines
        self._machines: dict[str, tuple[float, Machine]] = {}
        self._caring: dict[str, threading.Thread] = {}
        self._remembered: dict[str, Any] | None = None
        self._published = float("-inf")
        self._addresses: dict[str, tuple[str, str]] = {}

    def look(self, deadline: Deadline) -> Snapshot:
        """Everybody at once. Raises UsageError: a dsn cannot be read."""
        ground = self._ground
        jobs: dict[str, Callable[[], Any]] = {}
        for node in ground.nodes:
            jobs[f"node {node.name}"] = partial(self._node, node, deadline)
        for name, switch in ground.switches.items():
            jobs[f"switch {name}"] = partial(switch.look, deadline.within(_ASK_SECONDS))
        found = together(jobs)
        answers, machines = {}, {}
        for node in ground.nodes:
            got = found[f"node {node.name}"]
            if isinstance(got, SreError):
                raise got
            answers[node.name], machines[node.name] = got
        ways: dict[str, Way | str] = {}
        for name in ground.switches:
            way = found[f"switch {name}"]
            ways[name] = str(way) if isinstance(way, SreError) else way
        heard = Heard(
            answers, machines, ways, {each.name: each.server for each in ground.nodes},
            self.addresses(), self._recall(),
        )  # fmt: skip
        seen = assemble(ground.cluster, ground.clock.wall(), heard)
        self._remember(seen)
        return seen

    def one(self, name: str, deadline: Deadline) -> NodeSeen:
        """One node alone. Raises as `Line.ask`."""
        return node_seen(name, Answer(self._lines[name].ask(read, deadline)))

    def answers(self, name: str) -> bool:
        """Whether a node answers, within a second."""
        until = Deadline.after(1.0, self._ground.clock)
        try:
            self._lines[name].ask(lambda connection: connection.execute("select 1"), until)
        except SreError:
            return False
        return True

    def addresses(self) -> Mapping[str, tuple[str, str]]:
        """Node -> host and port where the others reach it. Raises UsageError."""
        if not self._addresses:
            self._addresses = {each.name: address(each) for each in self._ground.nodes}
        return self._addresses

    def _node(self, node: Placed, deadline: Deadline) -> tuple[Answer, Machine]:
        until = deadline.within(_ASK_SECONDS)
        answer = self._answer(node, deadline.within(_SOON_SECONDS))
        if answer.said is not None:
            return answer, self._machine(node, str(answer.said["process"] or ""), deadline)
        again: list[Answer] = []
        slow = answer.state == "silent"
        if slow:  # a slow one answers after all; a frozen one is known by its processes
            asking = Later(lambda: again.append(self._answer(node, until)), node.name)
            asking.start()
        life = node.control.life(node.service, deadline.within(_ASK_SECONDS))
        if slow and life.state not in ("frozen", "dead"):
            asking.join(until)
        known = self._machines.get(node.name, (0.0, Machine()))[1]
        if again and again[0].said is not None:
            return again[0], known
        unreachable = life.why or "no answer" if life.state == "unknown" else ""
        return answer, Machine(known.missing, unreachable, known.free, life)

    def _answer(self, node: Placed, until: Deadline) -> Answer:
        """Raises UsageError: its dsn cannot be read."""
        try:
            return Answer(self._lines[node.name].ask(read, until))
        except Silent as error:
            return Answer(state=error.state, why=str(error))
        except (CheckFailed, Transient) as error:
            return Answer(state="no-login", why=str(error))

    def _machine(self, node: Placed, process: str, deadline: Deadline) -> Machine:
        """`process`: the postmaster.pid of the server that answered."""
        now = self._ground.clock.now()
        known = self._machines.get(node.name)
        if known is None:
            self._care(node, process, deadline.within(_CARE_SECONDS))
        elif now - known[0] > _CARE_EVERY and not self._alive(node.name):
            until = Deadline.after(_CARE_SECONDS, self._ground.clock)
            thread = threading.Thread(target=self._care, args=(node, process, until), daemon=True)
            self._caring[node.name] = thread
            thread.start()
        return self._machines[node.name][1]

    def _alive(self, name: str) -> bool:
        return name in self._caring and self._caring[name].is_alive()

    def _care(self, node: Placed, process: str, deadline: Deadline) -> None:
        at = self._ground.clock.now()
        try:
            missing = tuple(node.control.check(node.service, deadline))
            if not missing and process and not _same(node, process, deadline):
                missing = (
                    f"the server at its dsn is not the one in data_dir {node.service.data_dir}; "
                    "one of the two is wrong",
                )
                at -= _CARE_EVERY  # perhaps it was started anew just now: look again soon
            free = _free(node, deadline)
            machine = Machine(missing, "", free)
        except Transient as error:
            machine = Machine(unreachable=str(error))
        except SreError as error:
            machine = Machine(missing=(str(error),))
        self._machines[node.name] = (at, machine)

    def _recall(self) -> Mapping[str, Any]:
        """What was last seen of a healthy cluster, by whoever looked."""
        if self._ground.facts is None:
            return self._remembered or {}
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
        settings = primary.more["settings"]
        value = {
            "primary": primary.name,
            "timeline": primary.timeline,
            "position": primary.position,
            "lsn": lsn_text(primary.position or 0),
            "names": settings["synchronous_standby_names"] or "",
            "commit": settings["synchronous_commit"],
            "wanted": self._wanted(primary.name, settings["synchronous_standby_names"] or ""),
            "counting": [s["name"] for s in primary.more["senders"]
                         if s["sync"] in ("sync", "quorum", "potential")],
        }  # fmt: skip
        self._published = now
        self._remembered = {**value, "at": seen.at}
        if self._ground.facts is not None:
            with contextlib.suppress(SreError):  # to look must not fail for a full disk
                self._ground.facts.publish(self._fact, value)

    def _wanted(self, primary: str, names: str) -> Mapping[str, str]:
        """The synchronous names to go back to, and whose they were: kept while none are set."""
        before = (self._remembered or {}).get("wanted") or {}
        return {"primary": primary, "names": names} if names else before


def address(node: Placed) -> tuple[str, str]:
    """Where other nodes and clients reach a node: as declared, else as its dsn says."""
    declared = getattr(node.own, "address", "")
    if declared:
        host, _, port = declared.rpartition(":")
        return host.strip("[]"), port
    if node.dsn is None:
        raise AssertionError("a node without a dsn is refused when the engine is made")
    return address_of(node.dsn.reveal())


def _same(node: Placed, process: str, deadline: Deadline) -> bool:
    """Whether its control sees the server that answered; also where nobody can tell."""
    path = f"{node.service.data_dir.rstrip('/')}/postmaster.pid"
    found = node.control.read(node.service, path, deadline)
    return found is not None and process_of(found.decode("utf-8", "replace")) == process_of(process)


def _free(node: Placed, deadline: Deadline) -> int | None:
    """The less of where its data and where its log lie, which may be a disk of its own."""
    folder = node.service.data_dir.rstrip("/")
    done = node.control.run(
        node.service, ["df", "-Pk", folder, f"{folder}/pg_wal"], deadline, env={"LC_ALL": "C"}
    )
    lines = done.stdout.decode("utf-8", "replace").splitlines()[1:]
    sizes = [line.split()[3] for line in lines if len(line.split()) > 3] if done.ok else []
    return min((int(size) * 1024 for size in sizes if size.isdigit()), default=None)
