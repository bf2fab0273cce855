"""How is a MariaDB or MySQL asked about itself: counters, transactions, replication, sizes?"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from sre.probes.bounds import Of
from sre.probes.model import Gauge
from sre.probes.mysqlfacts import CHANNELS, FACTS, SCHEMAS
from sre.probes.parts import Denied, Found

__all__ = ["Asking", "channels_of", "mysql_parts", "status_of"]

_SYSTEM = "'information_schema', 'mysql', 'performance_schema', 'sys'"
_NEW_WORDS = (8, 0, 22)
"""The first MySQL that says REPLICA for SLAVE."""


class Asking(Protocol):
    """What the parts need of a session."""

    @property
    def mariadb(self) -> bool: ...

    def rows(self, sql: str) -> list[dict[str, Any]]: ...


def mysql_parts(session: Asking, slow: float, now: float) -> dict[str, Callable[[], Found]]:
    """Every part by its name, the dearest last."""
    return {
        "status": partial(_status, session, now),
        "deadlocks": partial(_deadlocks, session),
        "transactions": partial(_transactions, session),
        "sessions": partial(_sessions, session, slow),
        "replication": partial(_replication, session),
        "schemas": partial(_schemas, session),
    }


_COUNTERS = {
    "aborted_connects_total": "aborted_connects",
    "aborted_clients_total": "aborted_clients",
    "refused_connections_total": "connection_errors_max_connections",
    "statements_total": "questions",
    "slow_statements_total": "slow_queries",
    "commits_total": "com_commit",
    "rollbacks_total": "com_rollback",
    "row_lock_waits_total": "innodb_row_lock_waits",
    "row_lock_waits": "innodb_row_lock_current_waits",
    "buffer_pool_requests_total": "innodb_buffer_pool_read_requests",
    "buffer_pool_reads_total": "innodb_buffer_pool_reads",
    "temporary_disk_tables_total": "created_tmp_disk_tables",
    "open_tables": "open_tables",
    "opened_tables_total": "opened_tables",
    "table_cache_misses_total": "table_open_cache_misses",
    "received_bytes_total": "bytes_received",
    "sent_bytes_total": "bytes_sent",
    "connections": "threads_connected",
    "connections_peak": "max_used_connections",
    "threads_running": "threads_running",
}
_VARIABLES = (
    "version", "max_connections", "read_only", "innodb_buffer_pool_size", "table_open_cache",
)  # fmt: skip


def _status(session: Asking, now: float) -> Found:
    names = ", ".join(f"'{name}'" for name in _VARIABLES)
    settings = session.rows(f"show global variables where Variable_name in ({names})")
    return status_of(_pairs(session.rows("show global status")), _pairs(settings), now)


def _pairs(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    return {str(name).lower(): str(value) for name, value in (tuple(r.values()) for r in rows)}


def status_of(status: Mapping[str, str], settings: Mapping[str, str], now: float) -> Found:
    """The counters of a server; what this version does not count is left out. (pure)"""
    counted = {name: float(value) for name, value in status.items() if _is_number(value)}
    gauges = [FACTS(n, counted[key]) for n, key in _COUNTERS.items() if key in counted]
    version = settings["version"]
    flavor = "mariadb" if "mariadb" in version.lower() else "mysql"
    most = float(settings["max_connections"])
    ratio = counted["threads_connected"] / max(1.0, most)
    gauges += [
        FACTS("version_info", 1, version=version.split("-")[0], flavor=flavor),
        FACTS("read_only", settings["read_only"].upper() not in ("OFF", "0")),
        FACTS("start_timestamp_seconds", round(now - counted["uptime"])),
        FACTS("connections_limit", most),
        FACTS("connections_used_ratio", ratio),
        FACTS("open_tables_limit", float(settings["table_open_cache"])),
    ]
    used: dict[str, float | None] = {"connections": ratio}
    used["row_lock_waits"] = counted.get("innodb_row_lock_current_waits")
    used["threads_running"] = counted.get("threads_running")
    if "innodb_row_lock_time" in counted:
        seconds = counted["innodb_row_lock_time"] / 1000
        gauges.append(FACTS("row_lock_wait_seconds_total", seconds))
    hits = _buffer_pool(counted, settings, gauges)
    return Found(tuple(gauges), used | {"min_buffer_pool_hits": hits})


def _buffer_pool(
    counted: Mapping[str, float], settings: Mapping[str, str], gauges: list[Gauge]
) -> float | None:
    """Adds its numbers; its hit ratio, None while nobody has asked for a page."""
    if "innodb_buffer_pool_size" in settings:
        gauges.append(FACTS("buffer_pool_size_bytes", float(settings["innodb_buffer_pool_size"])))
    pages = counted.get("innodb_buffer_pool_pages_total", 0.0)
    for name, key in (("free", "pages_free"), ("dirty", "pages_dirty")):
        if pages and f"innodb_buffer_pool_{key}" in counted:
            share = counted[f"innodb_buffer_pool_{key}"] / pages
            gauges.append(FACTS(f"buffer_pool_{name}_ratio", share))
    asked = counted.get("innodb_buffer_pool_read_requests", 0.0)
    if not asked:
        return None
    hits = max(0.0, 1 - counted.get("innodb_buffer_pool_reads", 0.0) / asked)
    gauges.append(FACTS("buffer_pool_hit_ratio", hits))
    return hits


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?", text) is not None


def _deadlocks(session: Asking) -> Found:
    """MariaDB counts them in its status, MySQL in a table of its own."""
    rows = session.rows("show global status like 'Innodb_deadlocks'")
    count = next((int(row["Value"]) for row in rows), None)
    if count is None:
        rows = session.rows(
            "select `count` as number from information_schema.innodb_metrics "
            "where name = 'lock_deadlocks' and status = 'enabled'"
        )
        count = next((int(row["number"]) for row in rows), None)
    if count is None:
        raise Denied("this server does not count them")
    return Found((FACTS("deadlocks_total", count),))


def _transactions(session: Asking) -> Found:
    row = session.rows(
        "select count(*) as open, "
        "coalesce(max(timestampdiff(microsecond, t.trx_started, now(6))), 0) / 1e6 as oldest, "
        "coalesce(max(case when p.command = 'Sleep' then "
        "timestampdiff(microsecond, t.trx_started, now(6)) end), 0) / 1e6 as idle, "
        "coalesce(max(timestampdiff(microsecond, t.trx_wait_started, now(6))), 0) / 1e6 as wait "
        "from information_schema.innodb_trx t left join information_schema.processlist p "
        "on p.id = t.trx_mysql_thread_id where t.trx_mysql_thread_id <> connection_id()"
    )[0]
    oldest, idle, wait = (max(0.0, float(row[key])) for key in ("oldest", "idle", "wait"))
    gauges = (
        FACTS("transactions", row["open"]),
        FACTS("oldest_transaction_seconds", oldest),
        FACTS("oldest_idle_transaction_seconds", idle),
        FACTS("longest_lock_wait_seconds", wait),
    )
    return Found(gauges, {"transaction": oldest, "idle_transaction": idle, "lock_wait": wait})


def _sessions(session: Asking, slow: float) -> Found:
    """Without the privilege PROCESS only one's own sessions are shown; then none are told."""
    session.rows("select 1 from information_schema.innodb_trx limit 1")
    row = session.rows(
        f"select coalesce(sum(command = 'Query' and time >= {slow:.3f}), 0) as slow, "  # noqa: S608  a number
        "coalesce(max(case when command = 'Query' then time end), 0) as oldest, "
        "coalesce(sum(state like 'Waiting for table metadata lock%'), 0) as metadata, "
        "coalesce(sum(command like 'Binlog Dump%'), 0) as replicas "
        "from information_schema.processlist where id <> connection_id()"
    )[0]
    gauges = (
        FACTS("slow_queries", float(row["slow"])),
        FACTS("oldest_query_seconds", max(0.0, float(row["oldest"]))),
        FACTS("metadata_lock_waits", float(row["metadata"])),
        FACTS("replicas", float(row["replicas"])),
    )
    used = {"slow_queries": float(row["slow"]), "min_replicas": float(row["replicas"])}
    return Found(gauges, used | {"metadata_lock_waits": float(row["metadata"])})


def _replication(session: Asking) -> Found:
    if session.mariadb:
        return channels_of(session.rows("show all slaves status"))
    version = session.rows("select version() as version")[0]["version"]
    known = tuple(int(digits) for digits in re.findall(r"\d+", version)[:3])
    word = "replica" if known >= _NEW_WORDS else "slave"
    return channels_of(session.rows(f"show {word} status"))


def channels_of(rows: Sequence[Mapping[str, Any]]) -> Found:
    """What each channel says, in the words of any version. (pure)

    A stopped channel has no lag: it is not 0, and nobody knows it.
    """
    gauges: list[Gauge] = [
        FACTS("replication_channels", len(rows)),
        FACTS("replication_channels_left_out", max(0, len(rows) - CHANNELS)),
    ]
    worst: Of | None = None
    poor, known = [], True
    for row in (_new_words(row) for row in rows):
        name = str(row.get("connection_name") or row.get("channel_name") or "default")
        receives, applies = row["replica_io_running"] == "Yes", row["replica_sql_running"] == "Yes"
        error = int(row.get("last_sql_errno") or row.get("last_io_errno") or 0)
        lag = row.get("seconds_behind_source")
        if not (receives and applies and lag is not None):
            known, lag = False, None
            poor.append(_stopped(name, receives=receives, applies=applies, error=error))
        elif worst is None or float(lag) > worst:
            worst = Of(float(lag), name)
        if len(gauges) < 2 + CHANNELS * 5:
            gauges += _of_channel(name, row, lag, (receives, applies, error))
    used: dict[str, float | None] = {"lag": worst} if known else {}
    return Found(tuple(gauges), used, poor=tuple(poor))


def _new_words(row: Mapping[str, Any]) -> dict[str, Any]:
    lower = {str(name).lower(): value for name, value in row.items()}
    return {
        name.replace("slave", "replica").replace("master", "source"): value
        for name, value in lower.items()
    }


def _stopped(name: str, *, receives: bool, applies: bool, error: int) -> str:
    what = [word for word, runs in (("receive", receives), ("apply", applies)) if not runs]
    why = f" (error {error})" if error else ""
    if not what:
        return f"replication {name!r} does not know how far it is behind{why}"
    return f"replication {name!r} does not {' or '.join(what)}{why}"


def _of_channel(
    name: str, row: Mapping[str, Any], lag: Any, state: tuple[bool, bool, int]
) -> list[Gauge]:
    receives, applies, error = state
    found = [
        FACTS("replication_io_running", receives, channel=name),
        FACTS("replication_sql_running", applies, channel=name),
        FACTS("replication_error_code", error, channel=name),
        FACTS("relay_log_size_bytes", float(row.get("relay_log_space") or 0), channel=name),
    ]
    if lag is not None:
        found.append(FACTS("replication_lag_seconds", float(lag), channel=name))
    return found


def _schemas(session: Asking) -> Found:
    """A table without any privilege on it is not shown: nothing seen is not nothing there."""
    rows = session.rows(
        "select table_schema as name, coalesce(sum(data_length + index_length), 0) as size "  # noqa: S608  our own names
        f"from information_schema.tables where table_schema not in ({_SYSTEM}) "
        "group by table_schema order by 2 desc, 1"
    )
    if not rows and _has_tables(session):
        raise Denied("sizes need a privilege on the tables, such as SHOW VIEW")
    sizes = [(str(name), float(size)) for name, size in (tuple(row.values()) for row in rows)]
    gauges = [FACTS("schema_size_bytes", size, schema=name) for name, size in sizes[:SCHEMAS]]
    gauges.append(FACTS("schemas_size_bytes", sum(size for _, size in sizes)))
    gauges.append(FACTS("schemas_left_out", max(0, len(sizes) - SCHEMAS)))
    return Found(tuple(gauges))


def _has_tables(session: Asking) -> bool:
    """Whether InnoDB keeps any but the system's. Raises Denied without the privilege PROCESS."""
    view = "innodb_sys_tablespaces" if session.mariadb else "innodb_tablespaces"
    return bool(
        session.rows(
            f"select 1 from information_schema.{view} where name like '%/%' "  # noqa: S608  our own names
            f"and substring_index(name, '/', 1) not in ({_SYSTEM}) limit 1"
        )
    )
