"""What does one PostgreSQL node say of itself, in one answer? (one statement, read-only)"""

from __future__ import annotations

import json
from typing import Any

import psycopg

__all__ = ["read"]

_SETTINGS = (
    "synchronous_standby_names", "synchronous_commit", "wal_log_hints", "data_checksums",
    "wal_retrieve_retry_interval", "max_slot_wal_keep_size", "wal_receiver_timeout",
    "wal_segment_size", "default_transaction_read_only", "data_directory", "config_file",
    "primary_slot_name", "max_wal_senders", "restore_command", "wal_level", "full_page_writes",
    "recovery_min_apply_delay",
)  # fmt: skip
_OVERRIDES = ("synchronous_standby_names", "wal_retrieve_retry_interval", "primary_slot_name")

_READ = """
with s as materialized (select pg_is_in_recovery() as recovering)
select json_build_object(
  'recovering', recovering,
  'version', current_setting('server_version_num')::int,
  'superuser', current_setting('is_superuser') = 'on',
  'system', (select system_identifier::text from pg_control_system()),
  'control_timeline', (select timeline_id from pg_control_checkpoint()),
  'recovery_timeline', (select min_recovery_end_timeline from pg_control_recovery()),
  'flushed', case when not recovering then pg_current_wal_flush_lsn() end,
  'process', pg_read_file('postmaster.pid', 0, 1000, true),
  'wal_file', case when not recovering then pg_walfile_name(pg_current_wal_flush_lsn()) end,
  'received', case when recovering then pg_last_wal_receive_lsn() end,
  'replayed', case when recovering then pg_last_wal_replay_lsn() end,
  'paused', case when recovering then pg_is_wal_replay_paused() end,
  'replay_age', case when recovering then
    extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp()) end,
  'replay_at', case when recovering then extract(epoch from pg_last_xact_replay_timestamp()) end,
  'follows', current_setting('primary_conninfo', true) <> '',
  'receiver', (select json_build_object('status', status, 'host', sender_host,
      'port', sender_port, 'timeline', received_tli, 'slot', slot_name,
      'silent', extract(epoch from clock_timestamp() - last_msg_receipt_time))
    from pg_stat_wal_receiver where pid is not null limit 1),
  'files_timeline', case when recovering then
    (select max(left(name, 8)) from pg_ls_waldir() where name ~ '^[0-9A-F]{24}$') end,
  'senders', (select coalesce(json_agg(json_build_object('name', application_name,
      'state', state, 'sync', sync_state, 'flushed', flush_lsn, 'replayed', replay_lsn)
    order by application_name), '[]') from pg_stat_replication),
  'settings', (select json_object_agg(name, value) from
    (select name, current_setting(name, true) as value
      from unnest(%(settings)s::text[]) as name) x),
  'overrides', (select coalesce(json_object_agg(name, setting order by seqno), '{}')
    from pg_file_settings
    where sourcefile like '%%/postgresql.auto.conf' and name = any(%(overrides)s::text[])),
  'slots', (select coalesce(json_agg(json_build_object('name', slot_name, 'type', slot_type,
      'active', active)), '[]') from pg_replication_slots),
  'backups', (select count(*) from pg_stat_progress_basebackup),
  'prepared', (select count(*) from pg_prepared_xacts),
  'longest', (select coalesce(max(extract(epoch from clock_timestamp() - xact_start)), 0)
    from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()),
  'history', (select pg_read_file('pg_wal/' || lpad(upper(to_hex(t)), 8, '0') || '.history',
      0, 1000000, true)
    from (select greatest(('x' || left(case when not recovering then
        pg_walfile_name(pg_current_wal_flush_lsn()) end, 8))::bit(32)::int, 0) as t) h
    where t > 1)
)::text from s
"""


def read(connection: psycopg.Connection[Any]) -> dict[str, Any]:
    """Plain JSON, positions as text. Raises psycopg.Error."""
    values = {"settings": list(_SETTINGS), "overrides": list(_OVERRIDES)}
    row = connection.execute(_READ.encode(), values).fetchone()
    found: dict[str, Any] = json.loads(row[0]) if row else {}
    return found
