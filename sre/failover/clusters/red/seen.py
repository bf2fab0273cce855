"""What do the answers of nodes, sentinels, machines and switches come to? (pure)"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sre.failover.nodes import Life
from sre.failover.snapshot import NodeSeen, Snapshot, View
from sre.failover.switches import Way

__all__ = ["Answer", "Heard", "Machine", "assemble", "node_seen", "old_primary"]

_FRESH = 2
"""Seconds: whoever heard from the primary within them says that it lives."""


@dataclass(frozen=True)
class Answer:
    """How a node or a sentinel answered: what it said, or why it said nothing.

    Attributes:
        state: empty when it answered; else as `Silent.state`.
    """

    said: Mapping[str, Any] | None = None
    state: str = ""
    why: str = ""


@dataclass(frozen=True)
class Machine:
    """What a node's control says of it; `life` is asked for nodes alone that do not answer."""

    missing: tuple[str, ...] = ()
    unreachable: str = ""
    life: Life | None = None


@dataclass(frozen=True)
class Heard:
    """Everything that came in, by the names of nodes, sentinels and switches.

    Attributes:
        addresses: node -> every `host:port` by which others may mean it; the first is declared.
    """

    answers: Mapping[str, Answer]
    sentinels: Mapping[str, Answer] = field(default_factory=dict)
    machines: Mapping[str, Machine] = field(default_factory=dict)
    ways: Mapping[str, Way | str] = field(default_factory=dict)
    servers: Mapping[str, str] = field(default_factory=dict)
    addresses: Mapping[str, Sequence[str]] = field(default_factory=dict)
    remembered: Mapping[str, Any] = field(default_factory=dict)


def assemble(cluster: str, at: float, heard: Heard) -> Snapshot:
    """The picture of one moment."""
    nodes = tuple(node_seen(name, answer) for name, answer in heard.answers.items())
    nodes = tuple(_placed(each, nodes, heard) for each in nodes)
    ways = {name: way for name, way in heard.ways.items() if isinstance(way, Way)}
    more = {
        "remembered": dict(heard.remembered),
        "machines": {name: _machine(each) for name, each in heard.machines.items()},
        "sentinels": {name: _watch(each, nodes, heard) for name, each in heard.sentinels.items()},
        "switches": {
            name: (list(way.problems) if isinstance(way, Way) else [f"unreachable: {way}"])
            for name, way in heard.ways.items()
        },
        "states": {
            name: {each.name: [each.state, each.configured] for each in way.servers}
            for name, way in ways.items()
        },
        "servers": dict(heard.servers),
    }
    taken = {name: way.open() for name, way in ways.items()}
    seen = Snapshot(cluster, at, nodes, open=taken, more=more)
    views = tuple(_views(seen, ways))
    return replace(seen, views=views, problems=tuple(_problems(seen)))


def node_seen(name: str, answer: Answer) -> NodeSeen:
    """One node by what it said."""
    said = answer.said
    if said is None:
        return NodeSeen(name, state=answer.state, more={"why": answer.why})
    if said["role"] == "slave":
        return _standby(name, said)
    hindrances = tuple(_hindrances(said))
    return NodeSeen(
        name, "primary", reachable=True, position=said["offset"], replayed=said["offset"],
        lag_seconds=0.0, state="loading" if said["loading"] else "running",
        writable=not hindrances, problems=(*hindrances, *_careless(said)), more=said,
    )  # fmt: skip


def _standby(name: str, said: Mapping[str, Any]) -> NodeSeen:
    state, problems = "streaming", []
    if said["loading"]:
        state = "loading"
    elif not said["link"]:
        state = "copying" if said["syncing"] else "no link"
    if state != "streaming":
        problems.append(f"not-streaming: {state}")
    if said["settings"].get("replica-read-only") == "no":
        problems.append("replica-read-only: it takes writes that are lost (replica-read-only no)")
    lag = said["silent"] if said["link"] else said["down"]
    return NodeSeen(
        name, "standby", reachable=True, position=said["offset"], replayed=said["offset"],
        lag_seconds=float(lag) if lag >= 0 else None, state=state, problems=tuple(problems),
        more=said,
    )  # fmt: skip


def _hindrances(said: Mapping[str, Any]) -> Iterable[str]:
    """Why a primary would take no write now."""
    settings = said["settings"]
    if said["loading"]:
        yield "loading: it reads its data and answers nothing yet"
    least = _int(settings.get("min-replicas-to-write"))
    if least and _int(settings.get("min-replicas-max-lag")) and (said["good"] or 0) < least:
        yield f"min-replicas: {said['good'] or 0} good replicas, it wants {least} for a write"
    stops = settings.get("stop-writes-on-bgsave-error", "no") == "yes"
    if not said["bgsave_ok"] and stops and settings.get("save"):
        yield "misconf: it cannot save, and refuses writes (MISCONF)"
    if not said["append_ok"]:
        yield "misconf: it cannot write its append-only file, and refuses writes"


def _careless(said: Mapping[str, Any]) -> Iterable[str]:
    settings = said["settings"]
    if settings and not settings.get("save") and settings.get("appendonly") == "no":
        yield (
            "no-persistence: if it starts again before anybody notices, it is empty, and so are "
            "its replicas; set save or appendonly, and do not let it start by itself"
        )


def _placed(node: NodeSeen, nodes: Sequence[NodeSeen], heard: Heard) -> NodeSeen:
    """With whom it follows, and how far it is behind."""
    if not node.reachable:
        return node
    follows = ""
    if node.role == "standby":
        follows = _named(f"{node.more['host']}:{node.more['port']}", heard)
    primary = next((n for n in nodes if n.name == follows and n.role == "primary"), None)
    behind = None
    if primary is not None and primary.more["replid"] == node.more["replid"]:
        behind = max(0, (primary.position or 0) - (node.position or 0))
    return replace(node, more={**node.more, "follows": follows, "behind": behind})


def _named(address: str, heard: Heard) -> str:
    return next((name for name, known in heard.addresses.items() if address in known), "")


def _watch(answer: Answer, nodes: Sequence[NodeSeen], heard: Heard) -> dict[str, Any]:
    """What a sentinel says, with the names of nodes."""
    if answer.said is None:
        return {"answers": False, "why": answer.why}
    said = dict(answer.said)
    ids = {n.more["runid"]: n.name for n in nodes if n.reachable}

    def name(row: Mapping[str, Any]) -> str:
        known = _named(f"{row['host']}:{row['port']}", heard)
        return known or (ids.get(row["runid"], "") if row["runid"] else "")

    replicas = [{**row, "node": name(row)} for row in said["replicas"]]
    return {**said, "answers": True, "master": name(said), "replicas": replicas}


def old_primary(seen: Snapshot) -> str:
    """Who is or was primary; empty when nobody can tell."""
    primaries = seen.primaries()
    if primaries:
        return primaries[0].name if len(primaries) == 1 else ""
    silent = [each.name for each in seen.nodes if not each.reachable]
    named = {each["master"] for each in seen.more["sentinels"].values() if each["answers"]}
    if len(named & set(silent)) == 1:
        return str((named & set(silent)).pop())
    remembered = str(seen.more["remembered"].get("primary", ""))
    if remembered in silent:
        return remembered
    followed = {str(each.more["follows"]) for each in seen.standbys()} & set(silent)
    if len(followed) == 1:
        return followed.pop()
    return silent[0] if len(silent) == 1 else ""


def _views(seen: Snapshot, ways: Mapping[str, Way]) -> Iterable[View]:
    for node in seen.nodes:
        yield _ours(node)
        life = seen.more["machines"].get(node.name, {}).get("life")
        if life is not None:
            word = "dead" if life in ("dead", "frozen") else "unknown"
            yield View(f"control:{node.name}", node.name, word, life)  # type: ignore[arg-type]
    for node in seen.standbys():
        if node.more["follows"]:
            yield _heard_from(node)
    for name, each in seen.more["sentinels"].items():
        if each["answers"] and each["master"]:
            yield _watched(name, each)
    yield from _checked(seen, ways)


def _checked(seen: Snapshot, ways: Mapping[str, Way]) -> Iterable[View]:
    nodes = {server: node for node, server in seen.more["servers"].items()}
    for name, way in ways.items():
        for server in way.servers:
            if server.name in nodes and server.healthy is False and server.state != "closed":
                yield View(f"traffic:{name}", nodes[server.name], "dead", "its check fails")


def _ours(node: NodeSeen) -> View:
    if node.reachable:
        return View("us", node.name, "alive", "it answers")
    why = str(node.more.get("why", node.state))
    return View("us", node.name, "alive" if node.state == "no-login" else "dead", why)


def _heard_from(node: NodeSeen) -> View:
    of, silent = str(node.more["follows"]), int(node.more["silent"])
    if not node.more["link"]:
        return View(node.name, of, "dead", "it has no connection to its primary")
    why = f"connected, last heard of {silent} s ago"
    if 0 <= silent < _FRESH:
        return View(node.name, of, "alive", why)
    period = _int(node.more["settings"].get("repl-ping-replica-period")) or 10
    if silent > period + _FRESH:
        return View(node.name, of, "dead", f"{why}, and a primary pings every {period} s")
    return View(node.name, of, "unknown", why)


def _watched(name: str, said: Mapping[str, Any]) -> View:
    by, of, flags = f"sentinel:{name}", str(said["master"]), said["flags"]
    heard = said["heard"]
    if "s_down" in flags or "o_down" in flags:
        return View(by, of, "dead", "it holds it to be down")
    if "disconnected" in flags and (heard is None or heard > 1000):
        return View(by, of, "dead", "it cannot connect to it")
    if heard is not None and heard < _FRESH * 1000:
        return View(by, of, "alive", f"it answered it {heard} ms ago")
    return View(by, of, "unknown", f"it answered it {heard} ms ago")


def _problems(seen: Snapshot) -> Iterable[str]:
    primaries = [each.name for each in seen.primaries()]
    if not primaries:
        yield "no-primary: no node says that it is primary"
    if len(primaries) > 1:
        yield f"two-primaries: {', '.join(primaries)}"
    for name, problems in seen.more["switches"].items():
        yield from (f"traffic {name}: {problem}" for problem in problems)
    only = primaries[0] if len(primaries) == 1 else ""
    for name, each in seen.more["sentinels"].items():
        if not each["answers"] or not each["able"]:
            yield f"sentinel {name}: {each['unable'] if each['answers'] else each['why']}"
        elif only and each["master"] != only:
            where = each["master"] or f"{each['host']}:{each['port']}, which is none of nodes:"
            yield f"sentinel {name}: it says that the primary is {where}"
    yield from _astray(seen, only) if only else ()


def _astray(seen: Snapshot, primary: str) -> Iterable[str]:
    """Switches that send work elsewhere, as after a failover that the sentinels made."""
    server = seen.more["servers"][primary]
    for name, taken in seen.open.items():
        if tuple(taken) != (server,):
            where = ", ".join(taken) or "nobody"
            yield (f"traffic {name}: it sends work to {where}, primary is {primary}; "
                   f"sre traffic repoint {name} {server}")  # fmt: skip


def _machine(machine: Machine) -> dict[str, Any]:
    return {
        "missing": list(machine.missing),
        "unreachable": machine.unreachable,
        "life": machine.life.state if machine.life is not None else None,
    }


def _int(text: object) -> int:
    try:
        return int(str(text))
    except ValueError:
        return 0
