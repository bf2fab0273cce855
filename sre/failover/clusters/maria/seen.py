"""What do the answers of the nodes, their machines and the switches come to? (pure)"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from sre.failover.clusters.maria.gtid import (
    Position,
    errant,
    merged,
    missing,
    position_of,
    state_of,
    total,
)
from sre.failover.nodes import Life
from sre.failover.snapshot import NodeSeen, Snapshot, View
from sre.failover.switches import Way

__all__ = [
    "Answer", "Heard", "Machine", "assemble", "errant_of", "executed", "node_seen", "old_primary",
    "received", "runs", "written",
]  # fmt: skip

Moved = Literal["alive", "dead", "unknown"]


@dataclass(frozen=True)
class Answer:
    """How a node answered: what it said, or why it said nothing.

    Attributes:
        state: empty when it answered; else as `Silent.state`.
    """

    said: Mapping[str, Any] | None = None
    state: str = ""
    why: str = ""


@dataclass(frozen=True)
class Machine:
    """What a node's control says of it.

    Attributes:
        missing: what is not there for it to be controlled.
        unreachable: why its control did not answer; empty when it did.
        free: bytes left where its data lies; None when nobody could tell.
        life: asked for nodes alone that do not answer.
    """

    missing: tuple[str, ...] = ()
    unreachable: str = ""
    free: int | None = None
    life: Life | None = None


@dataclass(frozen=True)
class Heard:
    """Everything that came in, by the names of nodes and switches.

    Attributes:
        moved: replica -> whether its primary said something while we listened, and the evidence.
    """

    answers: Mapping[str, Answer]
    machines: Mapping[str, Machine] = field(default_factory=dict)
    ways: Mapping[str, Way | str] = field(default_factory=dict)
    servers: Mapping[str, str] = field(default_factory=dict)
    addresses: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    moved: Mapping[str, tuple[Moved, str]] = field(default_factory=dict)
    remembered: Mapping[str, Any] = field(default_factory=dict)


def runs(said: Mapping[str, Any]) -> bool:
    """Whether a server replicates, or tries to."""
    slave = said["slave"]
    return bool(slave) and (slave["Slave_IO_Running"] != "No" or slave["Slave_SQL_Running"] != "No")


def written(said: Mapping[str, Any]) -> Position:
    """Everything that a server has executed, its own transactions too."""
    return merged(
        position_of(said["gtid_slave_pos"]), position_of(said["gtid_binlog_pos"]),
        position_of(said["gtid_current_pos"]),
    )  # fmt: skip


def executed(said: Mapping[str, Any]) -> Position:
    """What a replica has executed of its primary's transactions."""
    slave_pos = position_of(said["gtid_slave_pos"])
    if said["slave"] and said["slave"]["Using_Gtid"] == "Current_Pos":
        return merged(slave_pos, position_of(said["gtid_current_pos"]))
    return slave_pos


def received(said: Mapping[str, Any]) -> Position:
    """What a replica has, executed or only in its relay log."""
    slave = said["slave"]
    io = position_of(slave["Gtid_IO_Pos"]) if slave else {}
    return merged(executed(said), io)


def errant_of(node: NodeSeen, primary: NodeSeen) -> str:
    """What a node has written that the primary does not have; empty: nothing."""
    said = primary.more
    server = int(said["server_id"]) if node.role == "standby" else None
    return errant(
        state_of(node.more["gtid_binlog_state"]), state_of(said["gtid_binlog_state"]),
        position_of(said["gtid_slave_pos"]), server,
    )  # fmt: skip


def assemble(cluster: str, at: float, heard: Heard) -> Snapshot:
    """The picture of one moment."""
    nodes = tuple(node_seen(name, answer) for name, answer in heard.answers.items())
    primaries = [each for each in nodes if each.role == "primary"]
    if len(primaries) == 1:
        nodes = tuple(_placed(each, primaries[0]) for each in nodes)
    more = {
        "remembered": dict(heard.remembered),
        "machines": {name: _machine(each) for name, each in heard.machines.items()},
        "switches": {
            name: (list(way.problems) if isinstance(way, Way) else [f"unreachable: {way}"])
            for name, way in heard.ways.items()
        },
        "states": {
            name: {each.name: [each.state, each.configured] for each in way.servers}
            for name, way in heard.ways.items()
            if isinstance(way, Way)
        },
        "servers": dict(heard.servers),
    }
    seen = Snapshot(
        cluster, at, nodes,
        open={name: way.open() for name, way in heard.ways.items() if isinstance(way, Way)},
        more=more,
    )  # fmt: skip
    return replace(seen, views=tuple(_views(seen, heard)), problems=tuple(_problems(seen)))


def node_seen(name: str, answer: Answer) -> NodeSeen:
    """One node by what it said."""
    said = answer.said
    if said is None:
        return NodeSeen(name, state=answer.state, more={"why": answer.why})
    read_only = said["read_only"] != "OFF"  # 12.0 has further words: NO_LOCK, NO_LOCK_NO_ADMIN
    if not runs(said) and not read_only:
        at = total(written(said))
        return NodeSeen(
            name, "primary", reachable=True, position=at, replayed=at, lag_seconds=0.0,
            state="running", writable=True, more=said,
        )  # fmt: skip
    slave = said["slave"]
    lag = slave["Seconds_Behind_Master"] if slave else None
    return NodeSeen(
        name, "standby", reachable=True, position=total(received(said)),
        replayed=total(executed(said)), lag_seconds=None if lag is None else float(lag),
        state=_state(said), writable=not read_only, problems=tuple(_wrong(said)), more=said,
    )  # fmt: skip


def _state(said: Mapping[str, Any]) -> str:
    slave = said["slave"]
    if not slave:
        return "follows nobody"
    io, sql = slave["Slave_IO_Running"], slave["Slave_SQL_Running"]
    if (io, sql) == ("Yes", "Yes"):
        return "streaming"
    if sql == "No":
        return "sql stopped" if io == "Yes" else "stopped"
    return "io stopped" if io == "No" else "connecting"


def _wrong(said: Mapping[str, Any]) -> Iterable[str]:
    slave = said["slave"] or {}
    if said["read_only"] == "OFF":
        yield "writable-replica: read_only is off"
    for kind in ("IO", "SQL"):
        if slave.get(f"Last_{kind}_Errno"):
            words = slave[f"Last_{kind}_Error"]
            yield f"{kind.lower()}-error: {slave[f'Last_{kind}_Errno']}: {words}"
    if slave.get("SQL_Delay"):
        yield f"delayed: by {slave['SQL_Delay']} s on purpose"
    if slave and slave["Using_Gtid"] == "No":
        yield "not-gtid: it follows by file and position"
    if said["rpl_semi_sync_master_enabled"] == "ON":
        yield "semi-sync-master: its SQL thread waits for replicas of its own"


def _placed(node: NodeSeen, primary: NodeSeen) -> NodeSeen:
    """With what can be said only beside the primary."""
    if node.role != "standby":
        return node
    slave, ours = node.more["slave"], int(primary.more["server_id"])
    behind = missing(executed(node.more), written(primary.more))
    known = bool(slave) and int(slave["Master_Server_Id"] or 0) == ours
    more = {**node.more, "behind": behind, "known": known, "errant": errant_of(node, primary)}
    acks = known and node.more.get("rpl_semi_sync_slave_status") == "ON"
    synchronous = acks and primary.more.get("rpl_semi_sync_master_status") == "ON"
    problems = node.problems
    if more["errant"]:
        problems = (*problems, f"errant: it alone has {more['errant']}")
    return replace(node, synchronous=synchronous, problems=problems, more=more)


def old_primary(seen: Snapshot) -> str:
    """Who is or was primary; empty when nobody can tell."""
    primaries = seen.primaries()
    if primaries:
        return primaries[0].name if len(primaries) == 1 else ""
    silent = [each.name for each in seen.nodes if not each.reachable]
    remembered = str(seen.more.get("remembered", {}).get("primary", ""))
    if remembered in silent:
        return remembered
    followed = {v.of for v in seen.views if v.by in {n.name for n in seen.nodes}} & set(silent)
    if len(followed) == 1:
        return followed.pop()
    return silent[0] if len(silent) == 1 else ""


def _views(seen: Snapshot, heard: Heard) -> Iterable[View]:
    for node in seen.nodes:
        yield _ours(node)
        life = heard.machines.get(node.name, Machine()).life
        if life is not None:
            word: Moved = "dead" if life.state in ("dead", "frozen") else "unknown"
            yield View(f"control:{node.name}", node.name, word, f"{life.state}: {life.why}")
    for node in seen.standbys():
        slave = node.more["slave"]
        at = (str(slave["Master_Host"]), str(slave["Master_Port"])) if slave else None
        of = next((name for name, address in heard.addresses.items() if address == at), "")
        if of and of != node.name:
            yield _heard_from(node, of, heard)
    for name, way in heard.ways.items():
        if isinstance(way, Way):
            yield from _switch_views(name, way, heard.servers)


def _ours(node: NodeSeen) -> View:
    if node.reachable:
        return View("us", node.name, "alive", "it answers")
    why = str(node.more.get("why", node.state))
    return View("us", node.name, "alive" if node.state == "no-login" else "dead", why)


def _heard_from(node: NodeSeen, of: str, heard: Heard) -> View:
    slave = node.more["slave"]
    io = slave["Slave_IO_Running"]
    if io == "Yes":
        word, why = heard.moved.get(node.name, ("unknown", "its connection stands"))
        return View(node.name, of, word, why)
    if io == "No":
        return View(node.name, of, "unknown", "its IO thread is stopped")
    said = f": {slave['Last_IO_Error']}" if slave["Last_IO_Error"] else ""
    return View(node.name, of, "dead", f"it has no connection to its primary{said}")


def _switch_views(name: str, way: Way, servers: Mapping[str, str]) -> Iterable[View]:
    nodes = {server: node for node, server in servers.items()}
    for each in way.servers:
        if each.name not in nodes or each.healthy is None or each.state == "closed":
            continue
        if each.healthy:
            why = "its check passes, as it may for a frozen server"
            yield View(f"traffic:{name}", nodes[each.name], "unknown", why)
        else:
            yield View(f"traffic:{name}", nodes[each.name], "dead", "its check fails")


def _problems(seen: Snapshot) -> Iterable[str]:
    primaries = [each.name for each in seen.primaries()]
    if not primaries:
        yield "no-primary: no node takes writes and follows nobody"
    if len(primaries) > 1:
        yield f"two-primaries: {', '.join(primaries)}"
    for name, problems in seen.more["switches"].items():
        for problem in problems:
            yield f"traffic {name}: {problem}"
    if len(primaries) == 1:
        said = seen.primaries()[0].more
        on = said["rpl_semi_sync_master_enabled"] == "ON"
        if on and said.get("rpl_semi_sync_master_status") != "ON":
            yield f"semi-sync: {primaries[0]} waits for nobody any more; commits are asynchronous"


def _machine(machine: Machine) -> dict[str, Any]:
    life = machine.life
    return {
        "missing": list(machine.missing),
        "unreachable": machine.unreachable,
        "free": machine.free,
        "life": life.state if life is not None else None,
    }
