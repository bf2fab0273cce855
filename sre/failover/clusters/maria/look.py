"""How is a whole cluster asked at once, and what is kept between two looks? (effects)

A replica's connection to a frozen primary stands for a minute. So when the primary is silent, we
listen for one heartbeat whether the replicas still hear of it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from sre.core.clock import Deadline
from sre.core.errors import SreError, Transient
from sre.failover.clusters.common.together import Silent, together
from sre.failover.clusters.maria.asking import Line
from sre.failover.clusters.maria.gtid import text_of
from sre.failover.clusters.maria.reading import SEMI_SYNC, read
from sre.failover.clusters.maria.seen import (
    Answer,
    Heard,
    Machine,
    Moved,
    assemble,
    node_seen,
    written,
)
from sre.failover.engine import Ground, Placed
from sre.failover.snapshot import NodeSeen, Snapshot
from sre.failover.switches import Way

__all__ = ["Looker"]

_ASK_SECONDS = 1.5
_CARE_SECONDS = 3.0
_CARE_EVERY = 30.0
_REMEMBER_EVERY = 1.0
_LISTEN_SECONDS = 3.0
_LISTEN_EVERY = 0.05
_HEARD = ("Master_Log_File", "Read_Master_Log_Pos", "Slave_received_heartbeats", "Gtid_IO_Pos")


class Looker:
    """Looks at one cluster, again and again."""

    def __init__(self, ground: Ground, lines: Mapping[str, Line]) -> None:
        self._ground, self._lines = ground, lines
        self._machines: dict[str, tuple[float, Machine]] = {}
        self._remembered: dict[str, Any] = {}
        self._published = float("-inf")

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
            self.addresses(), self._listen(answers, deadline), self._recall(),
        )  # fmt: skip
        seen = assemble(ground.cluster, ground.clock.wall(), heard)
        self._remember(seen)
        return seen

    def one(self, name: str, deadline: Deadline) -> NodeSeen:
        """One node alone. Raises as `Line.ask`."""
        return node_seen(name, Answer(self._lines[name].ask(read, deadline)))

    def answers(self, name: str) -> bool:
        """Whether something answers at a node's dsn, within a second; also if it lets nobody in."""
        until = Deadline.after(1.0, self._ground.clock)
        try:
            self._lines[name].ask(lambda connection: connection.ping(reconnect=False), until)
        except Silent as error:
            return error.state == "no-login"
        except SreError:
            return False
        return True

    def addresses(self) -> Mapping[str, tuple[str, str]]:
        """Node -> host and port where the others reach it. Raises UsageError."""
        return {each.name: self._address(each) for each in self._ground.nodes}

    def _address(self, node: Placed) -> tuple[str, str]:
        declared = str(getattr(node.own, "address", ""))
        if declared:
            host, _, port = declared.rpartition(":")
            return host.strip("[]"), port
        return self._lines[node.name].address()

    def _node(self, node: Placed, deadline: Deadline) -> tuple[Answer, Machine]:
        until = deadline.within(_ASK_SECONDS)
        try:
            said = self._lines[node.name].ask(read, until)
        except Silent as error:
            answer = Answer(state=error.state, why=str(error))
        except SreError as error:
            if not isinstance(error, Transient) and error.exit_code == 2:
                raise
            answer = Answer(state="no-login", why=str(error))
        else:
            return Answer(said), self._machine(node, deadline)
        life = node.control.life(node.service, deadline.within(_ASK_SECONDS))
        known = self._machines.get(node.name, (0.0, Machine()))[1]
        unreachable = life.why or "no answer" if life.state == "unknown" else ""
        return answer, Machine(known.missing, unreachable, known.free, life)

    def _machine(self, node: Placed, deadline: Deadline) -> Machine:
        now = self._ground.clock.now()
        known = self._machines.get(node.name)
        if known is None or now - known[0] > _CARE_EVERY:
            until = deadline.within(_CARE_SECONDS)
            self._machines[node.name] = (now, _care(node, until))
        return self._machines[node.name][1]

    def _listen(
        self, answers: Mapping[str, Answer], deadline: Deadline
    ) -> Mapping[str, tuple[Moved, str]]:
        """Whether replicas still hear of a primary that does not answer us."""
        if all(each.said is not None for each in answers.values()):
            return {}
        listening = {
            name: answer.said["slave"]
            for name, answer in answers.items()
            if answer.said is not None
            and answer.said["slave"]
            and answer.said["slave"]["Slave_IO_Running"] == "Yes"
        }
        found = together(
            {name: partial(self._hears, name, slave, deadline) for name, slave in listening.items()}
        )
        return {k: v for k, v in found.items() if not isinstance(v, SreError)}

    def _hears(self, name: str, before: Mapping[str, Any], deadline: Deadline) -> tuple[Moved, str]:
        period = float(before["Slave_heartbeat_period"] or 0)
        patience = min(_LISTEN_SECONDS, period * 1.5 + 0.2 if period else _LISTEN_SECONDS)
        until = deadline.within(patience)
        while not until.passed():
            self._ground.clock.sleep(_LISTEN_EVERY)
            slave = self.one(name, deadline.within(_ASK_SECONDS)).more["slave"] or {}
            if slave.get("Slave_IO_Running") != "Yes":
                return "dead", "its connection to its primary broke"
            if any(slave[key] != before[key] for key in _HEARD):
                return "alive", "it hears of its primary"
        if period and period * 1.5 + 0.2 <= _LISTEN_SECONDS:
            return "dead", f"it heard nothing for longer than a heartbeat ({period:g} s)"
        return "unknown", (
            f"its connection stands, and its heartbeat of {period:g} s is too long to wait for; "
            "set MASTER_HEARTBEAT_PERIOD=1"
        )

    def _recall(self) -> Mapping[str, Any]:
        """What was last seen of a healthy cluster, by whoever looked."""
        if self._ground.facts is None:
            return self._remembered
        with contextlib.suppress(SreError):
            fact = self._ground.facts.read(self._fact)
            if fact is not None:
                self._remembered = {**fact.value, "at": fact.at}
        return self._remembered

    @property
    def _fact(self) -> str:
        return f"failover/{self._ground.cluster}/seen"

    def _remember(self, seen: Snapshot) -> None:
        """For the day on which the primary cannot be asked any more."""
        primaries, now = seen.primaries(), self._ground.clock.now()
        if len(primaries) != 1 or now - self._published < _REMEMBER_EVERY:
            return
        value = memory_of(seen, self._remembered)
        self._published = now
        self._remembered = {**value, "at": seen.at}
        if self._ground.facts is not None:
            with contextlib.suppress(SreError):  # to look must not fail for a full disk
                self._ground.facts.publish(self._fact, value)


def memory_of(seen: Snapshot, before: Mapping[str, Any]) -> dict[str, Any]:
    """What is worth remembering of a cluster with one primary. (pure)"""
    primary = seen.primaries()[0]
    said = primary.more
    on = said["rpl_semi_sync_master_enabled"] == "ON"
    settings = {name: said[name] for name in SEMI_SYNC if name in said}
    return {
        "primary": primary.name,
        "gtid": text_of(written(said)),
        "position": primary.position,
        "status": said.get("rpl_semi_sync_master_status", "OFF"),
        "clients": int(said.get("rpl_semi_sync_master_clients") or 0),
        "ack_wait": said["ack_wait"],
        "settings": settings,
        "wanted": settings if on else before.get("wanted", {}),
        "counting": [each.name for each in seen.standbys() if each.synchronous],
        "index": {
            **before.get("index", {}),
            **{n.name: n.more["log_bin_index"] for n in seen.nodes if n.more.get("log_bin_index")},
        },
    }  # fmt: skip


def _care(node: Placed, deadline: Deadline) -> Machine:
    try:
        missing = tuple(node.control.check(node.service, deadline))
        return Machine(missing, "", _free(node, deadline))
    except Transient as error:
        return Machine(unreachable=str(error))
    except SreError as error:
        return Machine(missing=(str(error),))


def _free(node: Placed, deadline: Deadline) -> int | None:
    done = node.control.run(
        node.service, ["df", "-Pk", node.service.data_dir], deadline, env={"LC_ALL": "C"}
    )
    words = done.stdout.decode("utf-8", "replace").splitlines()[-1:]
    found = words[0].split() if done.ok and words else []
    return int(found[3]) * 1024 if len(found) > 3 and found[3].isdigit() else None
