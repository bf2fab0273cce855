"""What does one member come to, from its own words and those of others about it? (pure)"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from sre.failover.clusters.pat.said import LIVING, SYNC, Heard, Said
from sre.failover.snapshot import NodeSeen

__all__ = ["member_seen"]


def member_seen(
    name: str, heard: Heard, rows: Mapping[str, Mapping[str, Any]],
    lead: Mapping[str, Any] | None, at: float,
) -> NodeSeen:  # fmt: skip
    said, member = heard.said[name], heard.members[name]
    row = rows.get(member, {})
    own = said.patroni
    if own is None:
        life = said.life.state if said.life is not None else None
        more = {"why": said.why, "row": dict(row), "life": life, "sql": said.sql}
        return NodeSeen(name, state=said.state, problems=tuple(_silent(said)), more=more)
    living = str(own.get("state")) in LIVING
    primary = own.get("role") in ("master", "primary") and living
    position, replayed = _positions(own)
    ahead = _positions(lead)[0] if lead else None
    behind = max(0, ahead - position) if ahead is not None and position is not None else None
    streams = _streams(lead or {}, member)
    more = _more(said, own, row) | {"behind": 0 if primary else behind, "streams": streams}
    return NodeSeen(
        name, "primary" if primary else "standby" if living else "unknown", reachable=True,
        timeline=_int(own.get("timeline")) or _int(row.get("timeline")) or 0,
        position=position, replayed=replayed,
        lag_seconds=_lag(more, at, primary=primary),
        state="streaming" if streams else str(own.get("state")),
        synchronous=row.get("role") in SYNC and not primary,
        writable=primary and not (said.sql or {}).get("read_only", False),
        problems=tuple(_wrong(more, member, row, said)), more=more,
    )  # fmt: skip


def _streams(lead: Mapping[str, Any], member: str) -> bool:
    """Whether the leader sees it stream."""
    return any(
        isinstance(each, Mapping)
        and str(each.get("application_name", "")).lower() == member.lower()
        and each.get("state") == "streaming"
        for each in lead.get("replication") or []
    )


def _more(said: Said, own: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "tags": {**(row.get("tags") or {}), **(own.get("tags") or {})},
        "row": dict(row), "patroni_state": str(own.get("state")), "life": None, "sql": said.sql,
        "pause": bool(own.get("pause")), "system": own.get("database_system_identifier"),
        "version": (own.get("patroni") or {}).get("version"),
        "paused": bool(_wal(own).get("paused")),
        "watchdog": "failed" if own.get("watchdog_failed") else said.watchdog,
        "failsafe": bool(own.get("failsafe_mode_is_active")),
        "replayed_at": _stamp(_wal(own).get("replayed_timestamp")),
    }  # fmt: skip


def _wal(own: Mapping[str, Any]) -> Mapping[str, Any]:
    found = own.get("xlog") or own.get("wal")  # Patroni before and after 4.1
    return found if isinstance(found, Mapping) else {}


def _positions(own: Mapping[str, Any]) -> tuple[int | None, int | None]:
    wal = _wal(own)
    if "location" in wal:
        return _int(wal["location"]), _int(wal["location"])
    known = [
        each for each in (_int(wal.get("received_location")), _int(wal.get("replayed_location")))
        if each is not None
    ]  # fmt: skip
    return (max(known) if known else None), _int(wal.get("replayed_location"))


def _int(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _stamp(text: object) -> float | None:
    try:
        return datetime.fromisoformat(str(text)).timestamp() if text else None
    except ValueError:
        return None


def _lag(more: Mapping[str, Any], at: float, *, primary: bool) -> float | None:
    if primary or more["behind"] == 0:
        return 0.0
    return max(0.0, at - more["replayed_at"]) if more["replayed_at"] is not None else None


def _silent(said: Said) -> Iterator[str]:
    if (said.sql or {}).get("recovering") is False:
        yield "not-led: its PostgreSQL takes writes, and its Patroni does not answer"
    elif said.life is not None and said.life.state in ("alive", "frozen"):
        yield f"not-led: its PostgreSQL is {said.life.state}, and its Patroni does not answer"


def _wrong(
    more: Mapping[str, Any], member: str, row: Mapping[str, Any], said: Said
) -> Iterator[str]:
    state = more["patroni_state"]
    if state not in LIVING:
        yield f"not-running: {state}"
    if not row and said.cluster is not None:
        yield f"unknown-member: Patroni has no member {member!r}; say member: of the node"
    if more["paused"]:
        yield "replay-paused: its replay is paused"
    if more["tags"].get("nofailover"):
        yield "nofailover: tagged so that it never becomes primary"
    if more["watchdog"] == "failed":
        yield "watchdog: required, and not usable; it will not become primary"
    if row.get("pending_restart"):
        yield "pending-restart: a setting waits for a restart (patronictl restart)"
    if more["failsafe"]:
        yield "failsafe: primary without its configuration store, by consent of all members"
