"""What do a PostgreSQL's statistics say: work done, cache, log, checkpoints, sizes, wraparound?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sre.probes.model import Gauge
from sre.probes.parts import Found
from sre.probes.pgfacts import DATABASES, FACTS
from sre.probes.pgserver import Ask, Server, bound

__all__ = ["statistics_parts"]

_WRAPAROUND = 2.0**31


def statistics_parts(ask: Ask, about: Server) -> dict[str, Callable[[], Found]]:
    """Every part by its name, the dearest last."""
    parts: dict[str, Callable[[Ask, Server], Found]] = {
        "statistics": _statistics,
        "wraparound": _wraparound,
        "tables": _tables,
        "checkpoints": _checkpoints,
        "archiver": _archiver,
        "wal": _wal,
        "wal_directory": _wal_directory,
    }
    if about.statements:
        parts["statements"] = _statements
    return bound(parts | {"databases": _databases}, ask, about)


_COUNTERS = {
    "commits_total": "xact_commit",
    "rollbacks_total": "xact_rollback",
    "deadlocks_total": "deadlocks",
    "conflicts_total": "conflicts",
    "checksum_failures_total": "checksum_failures",
    "blocks_hit_total": "blks_hit",
    "blocks_read_total": "blks_read",
    "temp_bytes_total": "temp_bytes",
    "temp_files_total": "temp_files",
}


def _statistics(ask: Ask, _about: Server) -> Found:
    sums = ", ".join(f"sum({column})::float8 as {name}" for name, column in _COUNTERS.items())
    row = ask(f"select {sums} from pg_stat_database")[0]  # noqa: S608  our own columns
    gauges = [FACTS(name, row[name]) for name in _COUNTERS if row[name] is not None]
    hit, read = row["blocks_hit_total"] or 0, row["blocks_read_total"] or 0
    if hit + read:
        gauges.append(FACTS("cache_hit_ratio", hit / (hit + read)))
    ratio = hit / (hit + read) if hit + read else None
    return Found(tuple(gauges), {"min_cache_hits": ratio})


def _wraparound(ask: Ask, _about: Server) -> Found:
    row = ask(
        "select max(age(datfrozenxid)) as age, max(mxid_age(datminmxid)) as multi from pg_database"
    )[0]
    ratio = max(row["age"], row["multi"] or 0) / _WRAPAROUND
    gauges = (
        FACTS("oldest_transaction_id_age", row["age"]),
        FACTS("wraparound_used_ratio", ratio),
    )
    return Found(gauges, {"wraparound": ratio})


def _tables(ask: Ask, _about: Server) -> Found:
    row = ask(
        "select coalesce(sum(n_dead_tup), 0)::float8 as dead, "
        "coalesce(max(n_dead_tup::float8 / (n_live_tup + n_dead_tup)) "
        "filter (where n_live_tup + n_dead_tup >= 10000), 0) as worst from pg_stat_user_tables"
    )[0]
    gauges = (FACTS("dead_rows", row["dead"]), FACTS("worst_dead_rows_ratio", row["worst"]))
    return Found(gauges, {"dead_rows": row["worst"]})


def _checkpoints(ask: Ask, about: Server) -> Found:
    """Version 17 moved them to a view of their own."""
    timed, asked, written, synced, view = (
        ("num_timed", "num_requested", "write_time", "sync_time", "pg_stat_checkpointer")
        if about.version >= 170000
        else (
            "checkpoints_timed",
            "checkpoints_req",
            "checkpoint_write_time",
            "checkpoint_sync_time",
            "pg_stat_bgwriter",
        )
    )
    row = ask(
        f"select {timed} as timed, {asked} as asked, "  # noqa: S608  our own columns
        f"{written}::float8 / 1000 as written, {synced}::float8 / 1000 as synced from {view}"
    )[0]
    gauges = (
        FACTS("checkpoints_total", row["timed"], cause="timed"),
        FACTS("checkpoints_total", row["asked"], cause="requested"),
        FACTS("checkpoint_write_seconds_total", row["written"]),
        FACTS("checkpoint_sync_seconds_total", row["synced"]),
    )
    return Found(gauges)


def _archiver(ask: Ask, _about: Server) -> Found:
    row = ask(
        "select archived_count, failed_count, coalesce(last_failed_time > coalesce("
        "last_archived_time, '-infinity'), false) as failing from pg_stat_archiver"
    )[0]
    gauges = (
        FACTS("archived_total", row["archived_count"]),
        FACTS("archive_failures_total", row["failed_count"]),
        FACTS("archive_failing", row["failing"]),
    )
    return Found(gauges, poor=("the last attempt to archive failed",) if row["failing"] else ())


def _wal(ask: Ask, _about: Server) -> Found:
    row = ask(
        "select pg_wal_lsn_diff(case when pg_is_in_recovery() then pg_last_wal_replay_lsn() "
        "else pg_current_wal_lsn() end, '0/0')::float8 as position"
    )[0]
    position = row["position"]
    return Found(() if position is None else (FACTS("wal_position_bytes_total", position),))


def _wal_directory(ask: Ask, _about: Server) -> Found:
    size = ask("select sum(size)::float8 as size from pg_ls_waldir()")[0]["size"] or 0
    return Found((FACTS("wal_directory_size_bytes", size),), {"wal_directory": size})


def _statements(ask: Ask, about: Server) -> Found:
    spent = "total_exec_time" if about.version >= 130000 else "total_time"
    row = ask(
        f"select sum(calls)::float8 as calls, sum({spent})::float8 / 1000 as spent "  # noqa: S608  our own columns, quoted
        f"from {about.statements}.pg_stat_statements"
    )[0]
    gauges = (
        FACTS("statements_total", row["calls"] or 0),
        FACTS("statement_seconds_total", row["spent"] or 0),
    )
    return Found(gauges)


def _databases(ask: Ask, _about: Server) -> Found:
    """Sizes read the file system, once for each table: the one part that can be dear."""
    rows = ask(
        "select d.datname as name, s.numbackends as connections, case when "
        "has_database_privilege(d.oid, 'connect') or pg_has_role('pg_read_all_stats', 'usage') "
        "then pg_database_size(d.oid)::float8 end as size from pg_database d "
        "left join pg_stat_database s on s.datid = d.oid where not d.datistemplate "
        "order by 3 desc nulls last, 1"
    )
    return Found(tuple(_of_databases(rows)))


def _of_databases(rows: Sequence[Mapping[str, Any]]) -> list[Gauge]:
    known = [row for row in rows if row["size"] is not None]
    gauges = [FACTS("databases_size_bytes", sum(row["size"] for row in known))]
    for row in known[:DATABASES]:
        gauges.append(FACTS("database_size_bytes", row["size"], database=row["name"]))
        gauges.append(FACTS("database_connections", row["connections"] or 0, database=row["name"]))
    return [*gauges, FACTS("databases_left_out", len(rows) - len(known[:DATABASES]))]
