"""What do members answer, and whom do most of them call the leader? (pure)"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sre.failover.nodes import Life
from sre.failover.switches import Way

__all__ = [
    "LEADERS", "LIVING", "SYNC", "Heard", "Said", "holder", "leader_of", "rows_of", "whole_of",
]  # fmt: skip

LEADERS = ("leader", "standby_leader")
SYNC = ("sync_standby", "quorum_standby")
LIVING = ("running", "streaming", "in archive recovery")


@dataclass(frozen=True)
class Said:
    """What one member answered.

    Attributes:
        patroni: its own state; None when it did not answer.
        cluster: what it reads of all members in the configuration store; None: it cannot.
        config: the dynamic configuration.
        sql: `recovering` and `read_only` of PostgreSQL itself, where it was asked.
        state: empty when it answered; else `refused`, `silent`, `odd`, `no-login`.
        life: its processes, asked for those alone that do not answer.
    """

    patroni: Mapping[str, Any] | None = None
    cluster: Mapping[str, Any] | None = None
    config: Mapping[str, Any] | None = None
    sql: Mapping[str, Any] | None = None
    state: str = ""
    why: str = ""
    life: Life | None = None
    watchdog: str = "unknown"


@dataclass(frozen=True)
class Heard:
    """Everything that came in, by the names of nodes and switches.

    Attributes:
        members: node -> what Patroni calls it.
        apis: node -> the address that is declared.
        remembered: what was last seen of a healthy cluster.
        scope: the scope that is declared; empty: any.
        paused: who paused it through us; empty: nobody that is known.
    """

    said: Mapping[str, Said]
    members: Mapping[str, str]
    apis: Mapping[str, str] = field(default_factory=dict)
    ways: Mapping[str, Way | str] = field(default_factory=dict)
    servers: Mapping[str, str] = field(default_factory=dict)
    remembered: Mapping[str, Any] = field(default_factory=dict)
    scope: str = ""
    paused: str = ""


def leader_of(rows: Mapping[str, Mapping[str, Any]], members: Mapping[str, str]) -> str:
    """The node that holds the leader's key; empty: nobody, or nobody that is declared."""
    holds = [name for name, row in rows.items() if row["role"] in LEADERS]
    return next((node for node, member in members.items() if member in holds), "")


def rows_of(heard: Heard) -> dict[str, Mapping[str, Any]]:
    """Patroni's name -> what is written of it in the configuration store."""
    listed = whole_of(heard).get("members") or []
    return {
        str(row["name"]): {"role": "", "state": "", **row}
        for row in listed if isinstance(row, Mapping) and "name" in row
    }  # fmt: skip


def whole_of(heard: Heard) -> Mapping[str, Any]:
    """What most say of the whole; where they differ, what the leader of most says."""
    said = [each.cluster for each in heard.said.values() if each.cluster is not None]
    if not said:
        return {}
    votes = Counter(holder(each) for each in said)
    most = votes.most_common(1)[0][0]
    return next(each for each in said if holder(each) == most)


def holder(cluster: Mapping[str, Any]) -> str:
    listed = [row for row in cluster.get("members") or [] if isinstance(row, Mapping)]
    return ",".join(sorted(str(r.get("name")) for r in listed if r.get("role") in LEADERS))
