"""What do the answers of the nodes, their machines and the switches come to? (pure)"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sre.failover.clusters.pg.lsn import lsn_of
from sre.failover.clusters.pg.quorum import parse_names
from sre.failover.clusters.pg.wrong import problems_of
from sre.failover.nodes import Life
from sre.failover.snapshot import NodeSeen, Snapshot, View
from sre.failover.switches import Way

__all__ = ["FRESH", "Answer", "Machine", "assemble", "node_seen", "old_primary", "seconds_of"]

FRESH = 2.0
"""A standby that heard from its primary within so many seconds says that it lives."""


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
    """Everything that came in, by the names of nodes and switches."""

    answers: Mapping[str, Answer]
    machines: Mapping[str, Machine] = field(default_factory=dict)
    ways: Mapping[str, Way | str] = field(default_factory=dict)
    servers: Mapping[str, str] = field(default_factory=dict)
    addresses: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    remembered: Mapping[str, Any] = field(default_factory=dict)


def assemble(cluster: str, at: float, heard: Heard) -> Snapshot:
    """The picture of one moment."""
    nodes = tuple(node_seen(name, answer) for name, answer in heard.answers.items())
    nodes = tuple(_placed(each, nodes) for each in (_connected(n, nodes, heard) for n in nodes))
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
    views = tuple(_views(seen, heard))
    problems = tuple(problems_of(seen))
    return Snapshot(cluster, at, nodes, views, seen.open, problems, more)


def node_seen(name: str, answer: Answer) -> NodeSeen:
    """One node by what it said."""
    said = answer.said
    if said is None:
        return NodeSeen(name, state=answer.state, more={"why": answer.why})
    if said["recovering"]:
        return _standby(name, said)
    read_only = said["settings"].get("default_transaction_read_only") == "on"
    position = _lsn(said["flushed"])
    return NodeSeen(
        name, "primary", reachable=True, timeline=int(said["wal_file"][:8], 16),
        position=position, replayed=position, lag_seconds=0.0,
        state="read only" if read_only else "running", writable=not read_only, more=said,
    )  # fmt: skip


def _standby(name: str, said: Mapping[str, Any]) -> NodeSeen:
    receiver = said["receiver"]
    timelines = [said["control_timeline"], said["recovery_timeline"]]
    timelines += [int(said["files_timeline"], 16)] if said["files_timeline"] else []
    timelines += [receiver["timeline"]] if receiver else []
    received, replayed = _lsn(said["received"]), _lsn(said["replayed"])
    known = [each for each in (received, replayed) if each is not None]
    problems = ["replay-paused: its replay is paused"] if said["paused"] else []
    state = receiver["status"] if receiver else "follows nobody"
    if state != "streaming":
        problems.append(f"not-streaming: {state}")
    return NodeSeen(
        name, "standby", reachable=True, timeline=max(each or 0 for each in timelines),
        position=max(known) if known else None, replayed=replayed, lag_seconds=said["replay_age"],
        state=state, problems=tuple(problems), more=said,
    )  # fmt: skip


def _placed(node: NodeSeen, nodes: Sequence[NodeSeen]) -> NodeSeen:
    """With what only the primary knows of a standby."""
    primaries = [each for each in nodes if each.role == "primary"]
    if node.role != "standby" or len(primaries) != 1:
        return node
    primary = primaries[0]
    mine = [s for s in primary.more["senders"] if s["name"].lower() == node.name.lower()]
    behind = None
    if primary.position is not None and node.replayed is not None:
        behind = max(0, primary.position - node.replayed)
    lag = 0.0 if behind == 0 else node.lag_seconds
    problems = node.problems
    if not mine and node.state == "streaming" and _counts(node.name, primary):
        problems += (f"not-counted: {primary.name} has no standby of this name, and commits wait "
                     f"for it; sre failover rejoin",)  # fmt: skip
    synchronous = any(each["sync"] in ("sync", "quorum") for each in mine)
    more = {**node.more, "behind": behind, "known": bool(mine)}
    return NodeSeen(
        node.name, node.role, reachable=True, timeline=node.timeline, position=node.position,
        replayed=node.replayed, lag_seconds=lag, state=node.state, synchronous=synchronous,
        problems=problems, more=more,
    )  # fmt: skip


def _counts(name: str, primary: NodeSeen) -> bool:
    try:
        names = parse_names(primary.more["settings"]["synchronous_standby_names"] or "")
    except ValueError:
        return False
    return names.has(name)


def _connected(node: NodeSeen, nodes: Sequence[NodeSeen], heard: Heard) -> NodeSeen:
    """One that was frozen calls a connection `streaming` whose other end is long gone; the node
    that it means would know. One that goes by another name there is left alone."""
    upstream = next((n for n in nodes if n.name == _followed(node, heard) and n.reachable), None)
    if upstream is None or node.state != "streaming":
        return node
    names = {str(each["name"]).lower() for each in upstream.more["senders"]}
    if node.name.lower() in names or names - {each.name.lower() for each in nodes}:
        return node
    state = f"{upstream.name} knows nothing of it"
    return replace(node, state=state, problems=(*node.problems, f"not-streaming: {state}"))


def old_primary(seen: Snapshot) -> str:
    """Who is or was primary; empty when nobody can tell."""
    primaries = seen.primaries()
    if primaries:
        return primaries[0].name if len(primaries) == 1 else ""
    silent = [each.name for each in seen.nodes if not each.reachable]
    remembered = str(seen.more.get("remembered", {}).get("primary", ""))
    if remembered in silent:
        return remembered
    followed = {view.of for view in seen.views if view.by != view.of} & set(silent)
    if len(followed) == 1:
        return followed.pop()
    return silent[0] if len(silent) == 1 else ""


def _views(seen: Snapshot, heard: Heard) -> Iterable[View]:
    for node in seen.nodes:
        yield _ours(node)
        life = heard.machines.get(node.name, Machine()).life
        if life is not None:
            word = "dead" if life.state in ("dead", "frozen") else "unknown"
            why = f"{life.state}: {life.why}".rstrip(": ")
            yield View(f"control:{node.name}", node.name, word, why)  # type: ignore[arg-type]
    who = old_primary(seen)
    for node in seen.standbys():
        of = _followed(node, heard) or who
        if of and of != node.name:
            yield _heard_from(node, of)
    for name, way in heard.ways.items():
        if isinstance(way, Way):
            yield from _switch_views(name, way, heard.servers)


def _ours(node: NodeSeen) -> View:
    if node.reachable:
        return View("us", node.name, "alive", "it answers")
    why = str(node.more.get("why", node.state))
    if node.state == "no-login":
        return View("us", node.name, "alive", why)
    return View("us", node.name, "unknown" if node.state == "starting" else "dead", why)


def _followed(node: NodeSeen, heard: Heard) -> str:
    """The node that a standby's receiver is connected to, by address; empty: nobody can tell."""
    receiver = node.more.get("receiver")
    if not receiver or not receiver["host"]:
        return ""
    at = (str(receiver["host"]), str(receiver["port"]))
    return next((name for name, address in heard.addresses.items() if address == at), "")


def _heard_from(node: NodeSeen, of: str) -> View:
    receiver = node.more["receiver"]
    if not receiver:
        if not node.more["follows"]:
            return View(node.name, of, "unknown", "it follows nobody")
        return View(node.name, of, "dead", "it has no connection to its primary")
    silent, status = float(receiver["silent"] or 0.0), receiver["status"]
    if status != "streaming":
        return View(node.name, of, "dead", f"its receiver is {status}")
    why = f"streaming, last heard of {silent:.1f} s ago"
    patience = seconds_of(node.more["settings"].get("wal_receiver_timeout", ""))
    if silent < FRESH:
        return View(node.name, of, "alive", why)
    if patience and silent > patience / 2 + 1:  # it asked for a word at the half, and got none
        return View(node.name, of, "dead", f"{why}; it asked for a word and got none")
    return View(node.name, of, "unknown", why)


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


def _machine(machine: Machine) -> dict[str, Any]:
    life = machine.life
    return {
        "missing": list(machine.missing),
        "unreachable": machine.unreachable,
        "free": machine.free,
        "life": life.state if life is not None else None,
    }


_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def seconds_of(shown: str) -> float:
    """A duration as `show` writes it (`5s`, `1min`); a bare number is milliseconds; 0: none."""
    number = shown.rstrip("abcdefghijklmnopqrstuvwxyz")
    try:
        return float(number) * _UNITS.get(shown[len(number) :] or "ms", 0.0)
    except ValueError:
        return 0.0


def _lsn(text: str | None) -> int | None:
    return lsn_of(text) if text else None
