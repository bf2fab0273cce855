"""How is a PostgreSQL asked who it is and who is on it: connections, transactions, locks?

Each function is one part: it asks, and makes numbers of the rows. A part that a restricted user
may not read says so (`Denied`): half of the truth would look like health.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from sre.probes.parts import Denied, Found
from sre.probes.pgfacts import FACTS

__all__ = ["Ask", "Server", "bound", "server", "session_parts"]

Ask = Callable[..., list[dict[str, Any]]]
"""`ask(sql, seconds)`: the rows, by column."""

_AGE = "extract(epoch from clock_timestamp() - {})::float8"


@dataclass(frozen=True)
class Server:
    """What the other parts must know.

    Attributes:
        version: as a number, 150014.
        sees: whether this user may look into other users' sessions.
        slow: seconds; a statement that runs longer is slow.
        statements: where pg_stat_statements is, quoted; empty where it is not.
    """

    version: int
    standby: bool
    sees: bool
    most: int
    reserved: int
    slow: float
    statements: str


_SERVER = f"""
select current_setting('server_version_num')::int as version,
  split_part(current_setting('server_version'), ' ', 1) as words, pg_is_in_recovery() as standby,
  extract(epoch from pg_postmaster_start_time())::float8 as started,
  pg_has_role('pg_read_all_stats', 'usage') as sees,
  current_setting('max_connections')::int as most,
  current_setting('superuser_reserved_connections')::int
    + coalesce(current_setting('reserved_connections', true), '0')::int as reserved,
  (select count(*) from pg_prepared_xacts) as prepared,
  (select coalesce(max({_AGE.format("prepared")}), 0) from pg_prepared_xacts) as oldest_prepared,
  (select quote_ident(n.nspname) from pg_extension e join pg_namespace n on n.oid = e.extnamespace
    where e.extname = 'pg_stat_statements') as statements
"""  # noqa: S608  our own columns


def server(ask: Ask, slow: float) -> tuple[Server, Found]:
    """The first question: who is it?"""
    row = ask(_SERVER)[0]
    version, most, reserved = int(row["version"]), int(row["most"]), int(row["reserved"])
    known = Server(
        version, row["standby"], row["sees"], most, reserved, slow, row["statements"] or ""
    )
    gauges = (
        FACTS("version_info", 1, version=row["words"], major=str(version // 10000)),
        FACTS("start_timestamp_seconds", row["started"]),
        FACTS("in_recovery", row["standby"]),
        FACTS("connections_limit", most),
        FACTS("connections_reserved", reserved),
        FACTS("prepared_transactions", row["prepared"]),
        FACTS("oldest_prepared_transaction_seconds", row["oldest_prepared"]),
    )
    return known, Found(gauges, {"prepared_transaction": row["oldest_prepared"]})


def session_parts(ask: Ask, about: Server) -> dict[str, Callable[[], Found]]:
    """Every part by its name."""
    return bound({"connections": _connections, "activity": _activity, "locks": _locks}, ask, about)


def bound(
    parts: Mapping[str, Callable[[Ask, Server], Found]], ask: Ask, about: Server
) -> dict[str, Callable[[], Found]]:
    """The same parts, ready to be called."""
    return {name: partial(part, ask, about) for name, part in parts.items()}


def _connections(ask: Ask, about: Server) -> Found:
    if about.sees:
        rows = ask(
            "select coalesce(state, 'unknown') as state, count(*) as count from pg_stat_activity "
            "where backend_type = 'client backend' group by 1"
        )
        total = sum(row["count"] for row in rows)
    else:  # who may not see states is shown how many there are, all the same
        rows = []
        total = ask("select sum(numbackends)::int as count from pg_stat_database")[0]["count"]
    ratio = total / max(1, about.most - about.reserved)
    gauges = [FACTS("connections", total), FACTS("connections_used_ratio", ratio)]
    gauges += [
        FACTS("connections_by_state", row["count"], state=_state(row["state"])) for row in rows
    ]
    return Found(tuple(gauges), {"connections": ratio})


def _state(words: str) -> str:
    """`idle in transaction (aborted)` as a label."""
    return words.replace("(", "").replace(")", "").replace(" ", "_")


def _activity(ask: Ask, about: Server) -> Found:
    if not about.sees:
        raise Denied("needs the role pg_monitor")
    row = ask(
        f"""
        select count(*) filter (where state = 'active' and {_AGE.format("query_start")}
            > {about.slow:.6f}) as slow,
          coalesce(max({_AGE.format("query_start")}) filter (where state = 'active'), 0) as query,
          coalesce(max({_AGE.format("xact_start")}), 0) as transaction,
          coalesce(max({_AGE.format("state_change")})
            filter (where state like 'idle in transaction%'), 0) as idle
        from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()
        """  # noqa: S608  our own columns and a number
    )[0]
    gauges = (
        FACTS("slow_queries", row["slow"]),
        FACTS("oldest_query_seconds", row["query"]),
        FACTS("oldest_transaction_seconds", row["transaction"]),
        FACTS("oldest_idle_transaction_seconds", row["idle"]),
    )
    used = {"slow_queries": row["slow"], "transaction": row["transaction"]}
    return Found(gauges, used | {"idle_transaction": row["idle"]})


def _locks(ask: Ask, about: Server) -> Found:
    """Before version 14 nobody says when a wait began: the statement's start is the best there is.

    The statement may have worked before it waited, so that is the longest it can be.
    """
    if about.version >= 140000:
        since, source = "l.waitstart", "pg_locks l"
    elif about.sees:
        since, source = "a.query_start", "pg_locks l left join pg_stat_activity a on a.pid = l.pid"
    else:
        since, source = "null::timestamptz", "pg_locks l"
    row = ask(
        f"select count(*) as waiting, count({since}) as known, max({_AGE.format(since)}) as wait "  # noqa: S608  our own texts
        f"from {source} where not l.granted"
    )[0]
    gauges = [FACTS("locks_waiting", row["waiting"])]
    used: dict[str, float | None] = {"locks_waiting": row["waiting"]}
    if row["known"] or not row["waiting"]:
        gauges.append(FACTS("longest_lock_wait_seconds", row["wait"] or 0))
        used["lock_wait"] = row["wait"] or 0
    return Found(tuple(gauges), used)
