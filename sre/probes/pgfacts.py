"""Which numbers does a PostgreSQL give out, under which names?"""

from __future__ import annotations

from sre.probes.facts import Facts

__all__ = ["DATABASES", "FACTS", "SLOTS", "STANDBYS"]

DATABASES = 20
SLOTS = 10
STANDBYS = 10
"""How many are told one by one, the largest first; the rest is counted in `..._left_out`."""

FACTS = Facts(
    "postgres",
    ("collector_success", "Whether a part could be read; 0 also when not allowed.", "collector"),
    ("version_info", "Version of the server; always 1.", "version", "major"),
    ("start_timestamp_seconds", "When the server was started."),
    ("in_recovery", "1 on a standby, 0 on a primary."),
    ("connections", "Connections of clients."),
    ("connections_limit", "Connections that the server accepts (max_connections)."),
    ("connections_reserved", "Connections among them that are kept for superusers."),
    ("connections_used_ratio", "Share of the connections that ordinary users can have."),
    ("connections_by_state", "Connections of clients in a state.", "state"),
    ("oldest_transaction_seconds", "Age of the oldest open transaction of a client."),
    ("oldest_idle_transaction_seconds", "Longest time in which a client left one open, idle."),
    ("prepared_transactions", "Two-phase transactions that wait for their second phase."),
    ("oldest_prepared_transaction_seconds", "Age of the oldest one; 0 without any."),
    ("slow_queries", "Statements that run for longer than `slow_query`."),
    ("oldest_query_seconds", "How long the oldest running statement runs; 0 without any."),
    ("locks_waiting", "Locks that somebody waits for."),
    ("longest_lock_wait_seconds", "How long the longest wait for a lock lasts; 0 without any."),
    ("commits_total", "Transactions committed, all databases together."),
    ("rollbacks_total", "Transactions rolled back, all databases together."),
    ("deadlocks_total", "Deadlocks found, all databases together."),
    ("conflicts_total", "Queries that a standby cancelled for replay."),
    ("checksum_failures_total", "Damaged pages found, where checksums are on."),
    ("blocks_hit_total", "Blocks found in the server's cache."),
    ("blocks_read_total", "Blocks asked of the operating system."),
    ("cache_hit_ratio", "Share of the blocks found in the cache since the statistics began."),
    ("temp_bytes_total", "Bytes that queries wrote to temporary files."),
    ("temp_files_total", "Temporary files that queries made."),
    ("database_size_bytes", "Size of a database, the largest ones.", "database"),
    ("database_connections", "Connections to a database, those of the largest.", "database"),
    ("databases_size_bytes", "Size of all databases together that this user may connect to."),
    ("databases_left_out", "Databases that are not told one by one."),
    ("oldest_transaction_id_age", "Age of the oldest transaction number in use."),
    ("wraparound_used_ratio", "Share of the transaction (or multixact) numbers in use."),
    ("dead_rows", "Dead rows in the tables of the connected database."),
    ("worst_dead_rows_ratio", "Highest share of dead rows in a table of 10,000 rows or more."),
    ("checkpoints_total", "Checkpoints by cause: timed, or requested for lack of room.", "cause"),
    ("checkpoint_write_seconds_total", "Time in which checkpoints wrote."),
    ("checkpoint_sync_seconds_total", "Time in which checkpoints waited for the disks."),
    ("wal_position_bytes_total", "Write-ahead log written (primary) or replayed (standby)."),
    ("wal_directory_size_bytes", "Size of the write-ahead log's folder."),
    ("archived_total", "Log segments archived."),
    ("archive_failures_total", "Failed attempts to archive a log segment."),
    ("archive_failing", "Whether the last attempt to archive failed."),
    ("statements_total", "Statements run, by pg_stat_statements."),
    ("statement_seconds_total", "Time spent in statements, by pg_stat_statements."),
    ("wal_receiver_up", "Whether a standby receives the log from its primary."),
    ("receiver_silence_seconds", "Time since the primary last said anything to a standby."),
    ("replay_lag_seconds", "How far a standby's data is behind; 0 when all received is replayed."),
    ("replay_lag_bytes", "Write-ahead log that a standby knows of and has not replayed."),
    ("replay_paused", "Whether replay was paused by hand."),
    ("standbys", "Standbys and subscribers that are connected."),
    ("standbys_streaming", "Those among them that keep up by streaming."),
    ("standbys_left_out", "Those among them that are not told one by one."),
    ("standby_lag_bytes", "Log that a standby has not replayed, by its name.", "standby"),
    ("standby_lag_seconds", "Time that a standby needs to replay, by its name.", "standby"),
    ("standby_streaming", "Whether a standby streams, by its name.", "standby"),
    ("slots", "Replication slots."),
    ("slots_inactive", "Replication slots that nobody uses; they hold the log back."),
    ("slots_left_out", "Replication slots that are not told one by one."),
    ("slot_retained_bytes", "Log that a replication slot holds back.", "slot"),
    ("slot_active", "Whether a replication slot is in use.", "slot"),
    ("slots_lost", "Replication slots whose log is gone already."),
)
"""What a server tells."""
