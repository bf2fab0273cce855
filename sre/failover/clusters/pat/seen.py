"""What do the answers of the Patronis, of PostgreSQL and of the switches come to? (pure)"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from sre.failover.clusters.pat.member import member_seen
from sre.failover.clusters.pat.said import LEADERS, Heard, leader_of, rows_of, whole_of
from sre.failover.clusters.pat.tame import tamed
from sre.failover.clusters.pat.trouble import problems_of
from sre.failover.snapshot import Snapshot, View
from sre.failover.switches import Way

__all__ = ["assemble"]


def assemble(cluster: str, at: float, heard: Heard) -> Snapshot:
    """The picture of one moment."""
    heard = replace(heard, said={name: tamed(each) for name, each in heard.said.items()})
    rows = rows_of(heard)
    leader = leader_of(rows, heard.members)
    lead = heard.said[leader].patroni if leader else None
    nodes = tuple(member_seen(name, heard, rows, lead, at) for name in heard.said)
    config = next((s.config for s in heard.said.values() if s.config), {})
    whole = whole_of(heard)
    more = {
        "leader": leader,
        "unlocked": not any(row["role"] in LEADERS for row in rows.values()),
        "rows": bool(rows),
        "config": dict(config),
        "pause": bool(whole.get("pause")),
        "standby_cluster": any(row["role"] == "standby_leader" for row in rows.values()),
        "scheduled": str((whole.get("scheduled_switchover") or {}).get("at", "")),
        "remembered": dict(heard.remembered),
        "servers": dict(heard.servers),
        "switches": {
            name: (list(way.problems) if isinstance(way, Way) else [f"unreachable: {way}"])
            for name, way in heard.ways.items()
        },
        "states": {
            name: {s.name: {"state": s.state, "healthy": s.healthy} for s in way.servers}
            for name, way in heard.ways.items() if isinstance(way, Way)
        },
    }  # fmt: skip
    opened = {name: _goes_to(way) for name, way in heard.ways.items() if isinstance(way, Way)}
    bare = Snapshot(cluster, at, nodes, (), opened, (), more)
    problems = tuple(problems_of(bare, heard, rows))
    return Snapshot(cluster, at, nodes, tuple(_views(bare, heard)), opened, problems, more)


def _goes_to(way: Way) -> tuple[str, ...]:
    """Who gets work: open, and not found dead by the switch's own check."""
    return tuple(s.name for s in way.servers if s.state == "open" and s.healthy is not False)


def _views(seen: Snapshot, heard: Heard) -> Iterator[View]:
    for node in seen.nodes:
        if node.reachable:
            yield View("us", node.name, "alive", f"its Patroni says {node.state}")
        elif (node.more["sql"] or {}).get("recovering") is not None:
            yield View("us", node.name, "alive", "its PostgreSQL answers, its Patroni does not")
        else:
            yield View("us", node.name, "dead", str(node.more["why"]))
        life = heard.said[node.name].life
        if life is not None:
            word: Any = {"dead": "dead", "frozen": "dead", "alive": "alive"}.get(
                life.state, "unknown"
            )
            yield View(f"control:{node.name}", node.name, word, f"{life.state}: {life.why}")
    for name, states in seen.more["states"].items():
        for node in seen.nodes:
            healthy = states.get(seen.more["servers"][node.name], {}).get("healthy")
            if healthy:
                yield View(f"traffic:{name}", node.name, "unknown", "its check passes")
