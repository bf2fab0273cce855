"""Which numbers does a MariaDB or MySQL give out, under which names?"""

from __future__ import annotations

from sre.probes.facts import Facts

__all__ = ["CHANNELS", "FACTS", "SCHEMAS"]

SCHEMAS = 20
CHANNELS = 10
"""How many are told one by one, the largest first; the rest is counted in `..._left_out`."""

FACTS = Facts(
    "mysql",
    ("collector_success", "Whether a part could be read; 0 also when not allowed.", "collector"),
    ("version_info", "Version of the server; always 1.", "version", "flavor"),
    ("start_timestamp_seconds", "When the server was started."),
    ("read_only", "Whether the server takes no writes from ordinary users."),
    ("connections", "Connections of clients."),
    ("connections_limit", "Connections that the server accepts (max_connections)."),
    ("connections_peak", "Most connections at once since the start."),
    ("connections_used_ratio", "Share of the connections in use."),
    ("threads_running", "Connections that are not idle."),
    ("aborted_connects_total", "Attempts to connect that failed."),
    ("aborted_clients_total", "Connections that ended without a goodbye."),
    ("refused_connections_total", "Connections refused because all were taken."),
    ("statements_total", "Statements that clients sent."),
    ("slow_statements_total", "Statements that took longer than long_query_time."),
    ("commits_total", "Transactions committed."),
    ("rollbacks_total", "Transactions rolled back."),
    ("row_lock_waits_total", "Waits for a row's lock."),
    ("row_lock_wait_seconds_total", "Time spent in waits for a row's lock."),
    ("row_lock_waits", "Waits for a row's lock now."),
    ("deadlocks_total", "Deadlocks found."),
    ("buffer_pool_requests_total", "Pages asked of the buffer pool."),
    ("buffer_pool_reads_total", "Pages among them that had to be read from disk."),
    ("buffer_pool_hit_ratio", "Share found in the buffer pool since the start."),
    ("buffer_pool_size_bytes", "Size of the buffer pool."),
    ("buffer_pool_free_ratio", "Share of the buffer pool that is free."),
    ("buffer_pool_dirty_ratio", "Share of the buffer pool that waits to be written."),
    ("temporary_disk_tables_total", "Temporary tables that went to disk."),
    ("open_tables", "Tables in the cache of open tables."),
    ("open_tables_limit", "Size of that cache (table_open_cache)."),
    ("opened_tables_total", "Tables that had to be opened."),
    ("table_cache_misses_total", "Tables that were not in the cache."),
    ("received_bytes_total", "Bytes received from clients."),
    ("sent_bytes_total", "Bytes sent to clients."),
    ("transactions", "Transactions that are open."),
    ("oldest_transaction_seconds", "Age of the oldest open transaction; 0 without any."),
    ("oldest_idle_transaction_seconds", "Age of the oldest one whose client is idle."),
    ("longest_lock_wait_seconds", "How long the longest wait for a row's lock lasts."),
    ("slow_queries", "Statements that run for longer than `slow_query`."),
    ("oldest_query_seconds", "How long the oldest running statement runs; 0 without any."),
    ("metadata_lock_waits", "Statements that wait for a table's definition."),
    ("replicas", "Replicas that are connected."),
    ("replication_channels", "Sources that this server replicates from."),
    ("replication_channels_left_out", "Those among them that are not told one by one."),
    ("replication_io_running", "Whether a channel receives; reconnecting is not.", "channel"),
    ("replication_sql_running", "Whether a channel applies.", "channel"),
    ("replication_lag_seconds", "Time behind the source; absent while stopped.", "channel"),
    ("replication_error_code", "Number of the error that stopped it; 0 for none.", "channel"),
    ("relay_log_size_bytes", "Size of a channel's relay logs.", "channel"),
    ("schema_size_bytes", "Size of a schema's tables and indexes, the largest ones.", "schema"),
    ("schemas_size_bytes", "Size of all schemas that this user sees."),
    ("schemas_left_out", "Schemas that are not told one by one."),
)
"""What a server tells."""
