"""How far behind is a PostgreSQL standby, seen from itself and from its primary?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sre.core.clock import Clock
from sre.probes.bounds import Of
from sre.probes.model import Gauge
from sre.probes.parts import Denied, Found
from sre.probes.pgfacts import FACTS, SLOTS, STANDBYS
from sre.probes.pgserver import Ask, Server

__all__ = ["replay_lag", "replication_parts"]

_LOOK_AGAIN = 0.2
"""Seconds until a second look decides whether what was received has been replayed."""

_NOW = "case when pg_is_in_recovery() then pg_last_wal_receive_lsn() else pg_current_wal_lsn() end"

_RECEIVER = """
select r.pid is not null and coalesce(r.status, 'streaming') = 'streaming' as receiving,
  pg_wal_lsn_diff(pg_last_wal_receive_lsn(), '0/0')::float8 as received,
  pg_wal_lsn_diff(r.latest_end_lsn, '0/0')::float8 as known,
  pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::float8 as replayed,
  extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp())::float8 as age,
  extract(epoch from clock_timestamp() - r.last_msg_receipt_time)::float8 as silence,
  pg_is_wal_replay_paused() as paused
from (select 1) as one left join pg_stat_wal_receiver r on true
"""

_SENDERS = f"""
select coalesce(nullif(application_name, ''), 'unnamed') as name, count(*) as count,
  count(*) filter (where state = 'streaming') as streaming,
  max(pg_wal_lsn_diff({_NOW}, replay_lsn))::float8 as bytes,
  max(extract(epoch from replay_lag))::float8 as seconds
from pg_stat_replication where state in ('startup', 'catchup', 'streaming')
group by 1 order by 4 desc nulls last, 1
"""  # noqa: S608  our own columns

_SLOTS = f"""
select slot_name as name, active,
  pg_wal_lsn_diff({_NOW}, restart_lsn)::float8 as retained, LOST as lost
from pg_replication_slots order by 3 desc nulls last, 1
"""  # noqa: S608  our own columns


def replication_parts(ask: Ask, about: Server, clock: Clock) -> dict[str, Callable[[], Found]]:
    """Every part by its name: a standby's own view is a standby's alone."""
    parts: dict[str, Callable[[], Found]] = {}
    if about.standby:
        parts["replay"] = lambda: _replay(ask, clock)
    parts["standbys"] = lambda: _standbys(ask, about)
    parts["slots"] = lambda: _slots(ask, about)
    return parts


def replay_lag(first: Mapping[str, Any], second: Mapping[str, Any]) -> float | None:
    """Seconds that a standby's data is behind, from two looks; None: nobody can tell. (pure)

    The age of the last replayed transaction is no lag while the primary is idle: what counts is
    whether all that was received has been replayed. And a first commit after an idle hour is an
    hour "late" for the instant of its replay: hence the second look. Without a receiver nobody
    knows what the primary has meanwhile: then the age it is.
    """
    if second["receiving"]:
        if first["received"] is not None and first["received"] <= (second["replayed"] or 0):
            return 0.0
        if second["received"] is not None and second["received"] <= (second["replayed"] or 0):
            return 0.0
    age = second["age"]
    return None if age is None else max(0.0, float(age))


def _replay(ask: Ask, clock: Clock) -> Found:
    first = second = ask(_RECEIVER)[0]
    if first["receiving"] and (first["received"] or 0) > (first["replayed"] or 0):
        clock.sleep(_LOOK_AGAIN)
        second = ask(_RECEIVER)[0]
    seconds = replay_lag(first, second)
    positions = [second[key] for key in ("received", "known", "replayed")]
    behind = max((p for p in positions if p is not None), default=0) - (second["replayed"] or 0)
    gauges = [
        FACTS("wal_receiver_up", second["receiving"]),
        FACTS("replay_lag_bytes", behind),
        FACTS("replay_paused", second["paused"]),
    ]
    if seconds is not None:
        gauges.append(FACTS("replay_lag_seconds", seconds))
    if second["silence"] is not None:
        gauges.append(FACTS("receiver_silence_seconds", max(0.0, second["silence"])))
    poor = () if second["receiving"] else ("the standby receives no log from a primary",)
    used: dict[str, float | None] = {"lag_bytes": behind}
    if seconds is not None:
        used["lag"] = seconds
    return Found(tuple(gauges), used, poor=poor)


def _standbys(ask: Ask, about: Server) -> Found:
    if not about.sees:
        raise Denied("needs the role pg_monitor")
    return standbys_of(ask(_SENDERS))


def standbys_of(rows: Sequence[Mapping[str, Any]]) -> Found:
    """What a primary, or a standby with standbys, knows of those it feeds. (pure)"""
    gauges: list[Gauge] = [
        FACTS("standbys", sum(row["count"] for row in rows)),
        FACTS("standbys_streaming", sum(row["streaming"] for row in rows)),
        FACTS("standbys_left_out", max(0, len(rows) - STANDBYS)),
    ]
    for row in rows[:STANDBYS]:
        name, lag = row["name"], row["bytes"]
        gauges.append(FACTS("standby_streaming", row["streaming"] == row["count"], standby=name))
        if lag is not None:
            gauges.append(FACTS("standby_lag_bytes", max(0.0, lag), standby=name))
        if row["seconds"] is not None or lag == 0:
            gauges.append(FACTS("standby_lag_seconds", row["seconds"] or 0, standby=name))
    worst = max(
        (Of(row["bytes"], row["name"]) for row in rows if row["bytes"] is not None), default=None
    )
    streaming = float(sum(row["streaming"] for row in rows))
    return Found(tuple(gauges), {"standby_lag_bytes": worst, "min_standbys": streaming})


def _slots(ask: Ask, about: Server) -> Found:
    lost = "wal_status = 'lost'" if about.version >= 130000 else "false"
    rows = ask(_SLOTS.replace("LOST", lost))
    idle = sum(not row["active"] for row in rows)
    gone = [row["name"] for row in rows if row["lost"]]
    gauges: list[Gauge] = [
        FACTS("slots", len(rows)),
        FACTS("slots_inactive", idle),
        FACTS("slots_lost", len(gone)),
        FACTS("slots_left_out", max(0, len(rows) - SLOTS)),
    ]
    for row in rows[:SLOTS]:
        gauges.append(FACTS("slot_active", row["active"], slot=row["name"]))
        if row["retained"] is not None:
            gauges.append(FACTS("slot_retained_bytes", max(0.0, row["retained"]), slot=row["name"]))
    worst = max(
        (Of(row["retained"], row["name"]) for row in rows if row["retained"] is not None),
        default=None,
    )
    poor = [f"the log that slot {name!r} needs is gone: its user is cut off" for name in gone[:1]]
    used = {"slot_bytes": worst, "inactive_slots": idle}
    return Found(tuple(gauges), used, poor=tuple(poor))
