"""What do the answers of RabbitMQ's management API say: which numbers, and what is wrong? (pure)"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from sre.probes.bounds import Of
from sre.probes.fitting import SAMPLES, fitting
from sre.probes.judged import Seen
from sre.probes.model import Gauge
from sre.probes.rabbitfacts import (
    FACTS,
    NODE,
    NODE_SHARES,
    OBJECTS,
    QUEUE,
    QUEUE_STATS,
    STATS,
    TOTALS,
)

__all__ = ["Chosen", "Seen", "read_nodes", "read_overview", "read_queues"]

_MOST_NODES = 7
_BROKEN = frozenset({"down", "crashed", "minority", "stopped", "terminated"})

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Chosen:
    """Which queues count: globs, case matters.

    Attributes:
        queues: judged, and each must match something; empty judges every queue.
        dead_letters: queues whose messages nobody could process.
        most: how many queues get numbers of their own, those with the most messages first.
    """

    queues: Sequence[str] = ()
    dead_letters: Sequence[str] = ()
    most: int = 15


def read_overview(overview: Row, seen: Seen) -> None:
    """What `/api/overview` says of the whole cluster."""
    version = overview.get("rabbitmq_version")
    if version:
        seen.gauges.append(FACTS("version_info", 1, version=str(version)[:40]))
    for place, names in (
        ("object_totals", {name: name for name in OBJECTS}),
        ("queue_totals", {name: key for name, (key, _) in TOTALS.items()}),
        ("message_stats", {name: key for name, (key, _) in STATS.items()}),
    ):
        table = overview.get(place) or {}
        for name, key in names.items():
            if (value := _number(table, key)) is not None:
                seen.gauges.append(FACTS(name, value))


def read_nodes(nodes: Sequence[Row], seen: Seen) -> None:
    """What `/api/nodes` says: alarms and partitions fail, a node that is down degrades."""
    running = [node for node in nodes if node.get("running")]
    parted = sum(len(node.get("partitions") or ()) for node in nodes)
    seen.gauges += [
        FACTS("nodes", len(nodes)),
        FACTS("nodes_running", len(running)),
        FACTS("partitions", parted),
    ]
    if len(running) < len(nodes):
        seen.poor.append(f"{len(nodes) - len(running)} of {len(nodes)} nodes do not run")
    if parted:
        seen.bad.append("the cluster is partitioned: nodes do not see each other")
    for node in nodes:
        _alarms(node, seen)
    used = [Of(share, f"node {_name(node)}") for node in nodes if (share := _memory(node))]
    if used:
        seen.measured["memory"] = max(used)
    for node in nodes[:_MOST_NODES]:
        seen.gauges += _node(node)


def _alarms(node: Row, seen: Seen) -> None:
    for key, what in (("mem_alarm", "memory"), ("disk_free_alarm", "disk space")):
        if node.get(key):
            seen.bad.append(f"node {_name(node)} stops all publishers: {what} alarm")


def _memory(node: Row) -> float | None:
    used, limit = _number(node, "mem_used"), _number(node, "mem_limit")
    return used / limit if used is not None and limit else None


def _node(node: Row) -> list[Gauge]:
    name = _name(node)
    gauges = [FACTS("node_up", bool(node.get("running")), node=name)]
    for fact, (key, _) in NODE.items():
        if (value := _number(node, key)) is not None:
            gauges.append(FACTS(fact, value, node=name))
    for fact, (key, _) in NODE_SHARES.items():
        used, most = _number(node, f"{key}_used"), _number(node, f"{key}_total")
        if used is not None and most:
            gauges.append(FACTS(fact, used / most, node=name))
    uptime = _number(node, "uptime")
    if uptime is not None:
        gauges.append(FACTS("node_uptime_seconds", uptime / 1000, node=name))
    return gauges


def read_queues(rows: Iterable[Row], chosen: Chosen, now: float, seen: Seen) -> None:
    """What the lists of queues say; the same queue may be on two pages, if it grew meanwhile."""
    unique = {(row.get("vhost"), row.get("name")): row for row in rows}
    ordered = sorted(unique.values(), key=lambda row: (-_waiting(row), _name(row)))
    dead = [row for row in ordered if _matches(row, chosen.dead_letters)]
    living = [row for row in ordered if not _matches(row, chosen.dead_letters)]
    judged = [row for row in living if not chosen.queues or _matches(row, chosen.queues)]
    for glob in chosen.queues:
        if not any(fnmatchcase(_name(row), glob) for row in ordered):
            seen.bad.append(f"there is no queue {glob!r} that this user may see")
    _judge(judged, dead, now, seen)
    lasting = [row for row in judged if chosen.queues or not _passing(row)]
    shown = sorted([*dead, *lasting], key=_waiting, reverse=True)[: chosen.most]
    _show(shown, ordered, now, seen)


def _judge(judged: Sequence[Row], dead: Sequence[Row], now: float, seen: Seen) -> None:
    letters = sum(_waiting(row) for row in dead)
    worst: dict[str, float | None] = {
        "ready": _worst(judged, lambda row: _number(row, "messages_ready")),
        "unacked": _worst(judged, lambda row: _number(row, "messages_unacknowledged")),
        "min_consumers": _worst(judged, lambda row: _number(row, "consumers"), least=True),
    }
    seen.measured |= {name: n for name, n in worst.items() if n is not None or not judged}
    seen.measured |= {"age": _worst(judged, lambda row: _age(row, now)), "dead_letters": letters}
    if dead:
        seen.gauges.append(FACTS("dead_letters", letters))
    down = [_name(row) for row in judged if not _works(row)]
    if down:
        more = f" and {len(down) - 3} more" if len(down) > 3 else ""
        seen.bad.append(f"queue {', '.join(map(repr, down[:3]))}{more} is not in working order")


def _show(wanted: Sequence[Row], rows: Sequence[Row], now: float, seen: Seen) -> None:
    """Numbers for some queues by name, and for the rest together."""
    gauges, left_out = fitting([_queue(row, now) for row in wanted], SAMPLES - len(seen.gauges) - 3)
    shown = {id(row) for row in wanted[: len(wanted) - left_out]}
    rest = [row for row in rows if id(row) not in shown]
    seen.gauges += [
        *gauges,
        FACTS("other_queues", len(rest)),
        FACTS("other_ready", sum(_number(row, "messages_ready") or 0 for row in rest)),
        FACTS("other_unacked", sum(_number(row, "messages_unacknowledged") or 0 for row in rest)),
    ]


def _queue(row: Row, now: float) -> list[Gauge]:
    labels = {"vhost": str(row.get("vhost", "")), "queue": _name(row)}
    gauges = [FACTS("queue_up", _works(row), **labels)]
    for fact, (key, _) in QUEUE.items():
        if (value := _number(row, key)) is not None:
            gauges.append(FACTS(fact, value, **labels))
    stats = row.get("message_stats") or {}
    for fact, (key, _) in QUEUE_STATS.items():
        if (value := _number(stats, key)) is not None:
            gauges.append(FACTS(fact, value, **labels))
    capacity = _number(row, "consumer_capacity")  # consumer_utilisation before 3.9
    capacity = _number(row, "consumer_utilisation") if capacity is None else capacity
    if capacity is not None and row.get("consumers"):
        gauges.append(FACTS("queue_consumer_capacity_ratio", capacity, **labels))
    if (age := _age(row, now)) is not None:
        gauges.append(FACTS("queue_oldest_age_seconds", age, **labels))
    return gauges


def _worst(rows: Iterable[Row], of: Any, *, least: bool = False) -> float | None:
    found = [Of(value, repr(_name(row))) for row in rows if (value := of(row)) is not None]
    return (min if least else max)(found, default=None)


def _age(row: Row, now: float) -> float | None:
    """Of the first message that waits; only where its sender or the broker gave it a timestamp."""
    stamp = _number(row, "head_message_timestamp")
    return None if not stamp else max(0.0, now - stamp)


def _waiting(row: Row) -> float:
    return sum(_number(row, key) or 0 for key in ("messages_ready", "messages_unacknowledged"))


def _works(row: Row) -> bool:
    return row.get("state") not in _BROKEN


def _passing(row: Row) -> bool:
    """It lives as long as its client, and its name is never seen again: no label."""
    return bool(row.get("exclusive") or row.get("auto_delete") or _name(row).startswith("amq.gen-"))


def _matches(row: Row, globs: Sequence[str]) -> bool:
    return any(fnmatchcase(_name(row), glob) for glob in globs)


def _name(row: Row) -> str:
    return str(row.get("name", ""))


def _number(table: Row, key: str) -> float | None:
    """Numbers alone: what is not known (yet) is missing, null or a text."""
    value = table.get(key)
    return float(value) if isinstance(value, int | float) else None
