"""What does one MariaDB node say of itself? (read-only statements)"""

from __future__ import annotations

import contextlib
from typing import Any

import pymysql

from sre.failover.clusters.maria.asking import Connection, rows, value

__all__ = ["SEMI_SYNC", "read"]

SEMI_SYNC = (
    "rpl_semi_sync_master_enabled", "rpl_semi_sync_master_timeout",
    "rpl_semi_sync_master_wait_no_slave", "rpl_semi_sync_master_wait_point",
)  # fmt: skip
"""The variables of a primary that go with it to the next."""

_VARIABLES = (
    "version", "server_id", "server_uid", "read_only", "log_bin", "log_slave_updates",
    "log_bin_basename", "log_bin_index", "datadir", "port", "gtid_binlog_pos", "gtid_binlog_state",
    "gtid_slave_pos", "gtid_current_pos", "gtid_domain_id", "gtid_strict_mode",
    "rpl_semi_sync_slave_enabled", "sync_binlog", "innodb_flush_log_at_trx_commit",
    "slave_net_timeout", "wsrep_on", *SEMI_SYNC,
)  # fmt: skip
_STATUS = (
    "Uptime", "Rpl_semi_sync_master_status", "Rpl_semi_sync_master_clients",
    "Rpl_semi_sync_master_no_tx", "Rpl_semi_sync_master_yes_tx", "Rpl_semi_sync_slave_status",
    "Rpl_semi_sync_master_wait_sessions",
)  # fmt: skip
_SLAVE = (
    "Connection_name", "Master_Host", "Master_Port", "Master_Server_Id", "Slave_IO_Running",
    "Slave_SQL_Running", "Slave_IO_State", "Slave_SQL_State", "Master_Log_File",
    "Read_Master_Log_Pos", "Gtid_IO_Pos", "Using_Gtid", "Seconds_Behind_Master", "SQL_Delay",
    "Last_IO_Errno", "Last_IO_Error", "Last_SQL_Errno", "Last_SQL_Error", "Relay_Master_Log_File",
    "Exec_Master_Log_Pos", "Slave_received_heartbeats", "Slave_heartbeat_period", "Connect_Retry",
    "Master_SSL_Allowed", "Master_SSL_CA_File", "Master_SSL_CA_Path", "Master_SSL_Cert",
    "Master_SSL_Cipher", "Master_SSL_Key", "Master_SSL_Verify_Server_Cert", "Master_SSL_Crl",
    "Master_SSL_Crlpath",
)  # fmt: skip
_FILTERS = (
    "Replicate_Do_DB", "Replicate_Ignore_DB", "Replicate_Do_Table", "Replicate_Ignore_Table",
    "Replicate_Wild_Do_Table", "Replicate_Wild_Ignore_Table", "Replicate_Do_Domain_Ids",
    "Replicate_Ignore_Domain_Ids", "Replicate_Ignore_Server_Ids", "Replicate_Rewrite_DB",
)  # fmt: skip
_RIGHTS = (
    ("READ_ONLY ADMIN", ()), ("RELOAD", ()), ("CONNECTION ADMIN", ("SUPER",)),
    ("REPLICATION SLAVE ADMIN", ("SUPER",)), ("REPLICATION MASTER ADMIN", ("SUPER",)),
    ("PROCESS", ()),
)  # fmt: skip
_LONGEST = (
    "select coalesce(max(timestampdiff(second, trx_started, now())), 0)"
    " from information_schema.innodb_trx"
)
_ACK = (
    "select coalesce(max(time), 0) from information_schema.processlist"
    " where state like 'Waiting for semi-sync ACK%%'"
)


def read(connection: Connection) -> dict[str, Any]:
    """Plain JSON. Raises pymysql.Error."""
    listed = ", ".join(f"'{each}'" for each in _VARIABLES)
    said: dict[str, Any] = {
        row["Variable_name"].lower(): row["Value"]
        for row in rows(connection, f"show global variables where variable_name in ({listed})")
    }
    listed = ", ".join(f"'{each}'" for each in _STATUS)
    for row in rows(connection, f"show global status where variable_name in ({listed})"):
        said[row["Variable_name"].lower()] = row["Value"]
    slaves = rows(connection, "show all slaves status")
    said["sources"] = len(slaves)
    said["slave"] = _slave(slaves[0]) if slaves else None
    said["replicas"] = [int(row["Server_id"]) for row in _may(connection, "show slave hosts")]
    said["prepared"] = len(_may(connection, "xa recover"))
    said["longest"] = float(_one(connection, _LONGEST) or 0)
    said["ack_wait"] = float(_one(connection, _ACK) or 0)
    said["lacks"] = _lacking(connection)
    said["read_only_from"] = str(_one(
        connection, "select global_value_origin from information_schema.system_variables"
        " where variable_name = 'READ_ONLY'") or "")  # fmt: skip
    return said


def _slave(row: dict[str, Any]) -> dict[str, Any]:
    kept = {key: row.get(key) for key in _SLAVE}
    kept["Slave_heartbeat_period"] = float(kept["Slave_heartbeat_period"] or 0)
    kept["filters"] = {key: row[key] for key in _FILTERS if row.get(key)}
    return kept


def _may(connection: Connection, sql: str) -> list[dict[str, Any]]:
    """Nothing where we are not allowed to ask."""
    with contextlib.suppress(pymysql.err.OperationalError, pymysql.err.InternalError):
        return rows(connection, sql)
    return []


def _one(connection: Connection, sql: str) -> Any:
    with contextlib.suppress(pymysql.err.OperationalError, pymysql.err.InternalError):
        return value(connection, sql.replace("%%", "%"))
    return None


def _lacking(connection: Connection) -> list[str]:
    """The rights that a switchover needs and that we do not have."""
    granted: set[str] = set()
    for row in rows(connection, "show grants"):
        text = str(next(iter(row.values())))
        words, _, rest = text.removeprefix("GRANT ").partition(" ON ")
        if rest.startswith("*.* "):
            granted |= {each.strip().upper() for each in words.split(",")}
    if "ALL PRIVILEGES" in granted:
        return []
    return [name for name, others in _RIGHTS if name not in granted and not granted & set(others)]
