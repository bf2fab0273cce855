"""What do the answers of a Redis server say: which numbers, and what is wrong? (pure)"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sre.probes.facts import Facts
from sre.probes.judged import Seen

__all__ = ["FACTS", "Seen", "parse_info", "read_cluster", "read_info", "read_sentinel"]

_MOST = 50
_MOST_MASTERS = 30

_COUNTERS = {
    "commands_total": ("total_commands_processed", "Commands that were carried out."),
    "connections_total": ("total_connections_received", "Connections that were accepted."),
    "rejected_connections_total": ("rejected_connections", "Connections beyond maxclients."),
    "evicted_keys_total": ("evicted_keys", "Keys that had to go because memory was full."),
    "expired_keys_total": ("expired_keys", "Keys that reached their end of life."),
    "keyspace_hits_total": ("keyspace_hits", "Look-ups that found their key."),
    "keyspace_misses_total": ("keyspace_misses", "Look-ups that did not find their key."),
    "received_bytes_total": ("total_net_input_bytes", "Bytes that clients sent."),
    "sent_bytes_total": ("total_net_output_bytes", "Bytes that were sent to clients."),
    "error_replies_total": ("total_error_replies", "Commands that were answered by an error."),
}
_PLAIN = {
    "uptime_seconds": ("uptime_in_seconds", "Time since the server was started."),
    "clients": ("connected_clients", "Clients that are connected, replicas left out."),
    "blocked_clients": ("blocked_clients", "Clients that wait in a blocking command."),
    "clients_limit": ("maxclients", "Clients that are allowed at once."),
    "memory_used_bytes": ("used_memory", "Memory that data and buffers take."),
    "memory_rss_bytes": ("used_memory_rss", "Memory that the process has of the system."),
    "memory_limit_bytes": ("maxmemory", "Memory that data may take; 0 is no limit."),
    "memory_fragmentation_ratio": ("mem_fragmentation_ratio", "Memory taken over memory used."),
    "commands_per_second": ("instantaneous_ops_per_sec", "Commands a second, just now."),
    "loading": ("loading", "Whether the data set is still being loaded."),
    "unsaved_changes": ("rdb_changes_since_last_save", "Changes since the last snapshot."),
    "replicas": ("connected_slaves", "Replicas that are connected."),
    "slots_failed": ("cluster_slots_fail", "Hash slots without a working node."),
    "slots_assigned": ("cluster_slots_assigned", "Hash slots that some node has."),
    "cluster_nodes": ("cluster_known_nodes", "Nodes that the cluster knows."),
    "sentinel_masters": ("sentinel_masters", "Masters that the sentinel watches."),
}
FACTS = Facts(
    "redis",
    ("version_info", "Version of the server; always 1.", "version"),
    ("role_info", "Role of the server; always 1.", "role"),
    ("ping_seconds", "Time that one PING took."),
    ("clients_used_ratio", "Share of maxclients that is taken."),
    ("memory_used_ratio", "Share of maxmemory that is taken; absent without maxmemory."),
    ("hit_ratio", "Share of look-ups since the start that found their key."),
    ("keys", "Keys of a database.", "db"),
    ("expiring_keys", "Keys of a database that have an end of life.", "db"),
    ("databases_left_out", "Databases beyond the first 50, whose keys are not given."),
    ("last_save_age_seconds", "Time since the last good snapshot, or since the start."),
    ("snapshot_ok", "Whether the last snapshot could be written."),
    ("append_ok", "Whether the append-only file could be written; absent without one."),
    ("master_link_up", "Whether a replica is connected to its master."),
    ("master_silence_seconds", "Time since a replica last heard its master, or lost it."),
    ("replica_lag_seconds", "Time since the slowest replica last acknowledged anything."),
    ("replica_lag_bytes", "Replication stream that the slowest replica does not have yet."),
    ("slowlog_entries", "Entries of the slow log; the server keeps slowlog-max-len at most."),
    ("cluster_ok", "Whether the cluster serves all hash slots."),
    ("sentinel_master_up", "Whether the sentinel reaches a master.", "master"),
    ("sentinel_sentinels", "Sentinels that watch a master, this one included.", "master"),
    ("sentinel_replicas", "Replicas of a master that the sentinel knows.", "master"),
    ("sentinel_quorum_ok", "Whether enough sentinels answer to fail a master over.", "master"),
    *((name, text) for name, (_, text) in (_PLAIN | _COUNTERS).items()),
)
"""What a Redis server, a replica, a cluster node or a sentinel tells."""


def parse_info(text: str) -> dict[str, str]:
    """`INFO`'s and `CLUSTER INFO`'s lines."""
    pairs = (line.partition(":") for line in text.splitlines() if not line.startswith("#"))
    return {key: value.strip() for key, colon, value in pairs if colon}


def read_info(info: Mapping[str, str], now: float, seen: Seen) -> None:
    """Everything that `INFO` says, into `seen`; what an old or managed server hides is left out."""
    sentinel = info.get("redis_mode") == "sentinel"
    roles = {"slave": "replica"}
    seen.role = "sentinel" if sentinel else roles.get(info.get("role", ""), info.get("role", ""))
    add = seen.gauges.append
    if seen.role:
        add(FACTS("role_info", 1, role=seen.role))
    if "redis_version" in info:
        add(FACTS("version_info", 1, version=info["redis_version"][:40]))
    for name, (key, _) in (_PLAIN | _COUNTERS).items():
        value = _number(info, key)
        if value is not None:
            add(FACTS(name, value))
    _load(info, seen)
    if not sentinel:
        _databases(info, seen)
        _persistence(info, now, seen)
        _replication(info, seen)


def _load(info: Mapping[str, str], seen: Seen) -> None:
    seen.measured["blocked_clients"] = _number(info, "blocked_clients")
    for what, used, most in (
        ("clients", "connected_clients", "maxclients"),
        ("memory", "used_memory", "maxmemory"),
    ):
        have, limit = _number(info, used), _number(info, most)
        if have is not None and limit:
            seen.measured[what] = have / limit
            seen.gauges.append(FACTS(f"{what}_used_ratio", have / limit))
        elif limit == 0:
            seen.measured[what] = None
    hits, misses = _number(info, "keyspace_hits"), _number(info, "keyspace_misses")
    if hits is not None and misses is not None:
        seen.measured["min_hit_ratio"] = hits / (hits + misses) if hits + misses else None
        if hits + misses:
            seen.gauges.append(FACTS("hit_ratio", hits / (hits + misses)))
    if _number(info, "loading"):
        done = info.get("loading_loaded_perc", "?").partition(".")[0]
        seen.bad.append(f"it is loading its data set ({done} % done) and answers nothing yet")


def _databases(info: Mapping[str, str], seen: Seen) -> None:
    rows = [(key[2:], value) for key, value in info.items() if _is_database(key)]
    rows.sort(key=lambda row: int(row[0]))
    for db, value in rows[:_MOST]:
        numbers = _pairs(value)
        for name, key in (("keys", "keys"), ("expiring_keys", "expires")):
            if (count := _number(numbers, key)) is not None:
                seen.gauges.append(FACTS(name, count, db=db))
    seen.gauges.append(FACTS("databases_left_out", max(0, len(rows) - _MOST)))


def _is_database(key: str) -> bool:
    return key.startswith("db") and key[2:].isdecimal()


def _persistence(info: Mapping[str, str], now: float, seen: Seen) -> None:
    saved = _number(info, "rdb_last_save_time")
    if saved is not None:
        age = max(0.0, now - saved)
        changes = _number(info, "rdb_changes_since_last_save")
        seen.measured["unsaved_age"] = age if changes else None
        seen.gauges.append(FACTS("last_save_age_seconds", age))
    if "rdb_last_bgsave_status" in info:
        good = info["rdb_last_bgsave_status"] == "ok"
        seen.gauges.append(FACTS("snapshot_ok", good))
        if not good:
            seen.poor.append("the last snapshot could not be written")
    if _number(info, "aof_enabled"):
        keys = ("aof_last_write_status", "aof_last_bgrewrite_status")
        good = all(info.get(key, "ok") == "ok" for key in keys)
        seen.gauges.append(FACTS("append_ok", good))
        if not good:
            seen.poor.append("the append-only file could not be written")


def _replication(info: Mapping[str, str], seen: Seen) -> None:
    seen.measured |= {"lag": None, "lag_bytes": None, "min_replicas": None}
    if seen.role == "replica":
        _as_replica(info, seen)
    elif seen.role == "master":
        seen.measured["min_replicas"] = 0.0
        _as_master(info, seen)


def _as_replica(info: Mapping[str, str], seen: Seen) -> None:
    up = info.get("master_link_status") == "up"
    silence = _number(info, "master_last_io_seconds_ago")
    if not up:
        silence = _number(info, "master_link_down_since_seconds")
        if silence is None or silence < 0:  # never connected
            silence = _number(info, "uptime_in_seconds")
    seen.gauges.append(FACTS("master_link_up", up))
    if silence is not None and silence >= 0:
        seen.measured["lag"] = silence
        seen.gauges.append(FACTS("master_silence_seconds", silence))
    if not up:
        syncing = _number(info, "master_sync_in_progress")
        why = "it is copying its master's data" if syncing else "its master does not answer it"
        seen.poor.append(f"a replica without its master: {why}")


def _as_master(info: Mapping[str, str], seen: Seen) -> None:
    rows = [_pairs(value) for key, value in info.items() if _is_replica(key)]
    online = [row for row in rows if row.get("state") == "online"]
    seen.measured["min_replicas"] = float(len(online))
    if len(online) < len(rows):
        seen.poor.append(f"{len(rows) - len(online)} of {len(rows)} replicas not online yet")
    if not online:
        return
    offset = _number(info, "master_repl_offset") or 0.0
    lag = max(_number(row, "lag") or 0.0 for row in online)
    behind = max(offset - (_number(row, "offset") or 0.0) for row in online)
    seen.measured |= {"lag": lag, "lag_bytes": max(0.0, behind)}
    seen.gauges.append(FACTS("replica_lag_seconds", lag))
    seen.gauges.append(FACTS("replica_lag_bytes", max(0.0, behind)))


def _is_replica(key: str) -> bool:
    return key.startswith("slave") and key[5:].isdecimal()


def read_cluster(info: Mapping[str, str], seen: Seen) -> None:
    """What `CLUSTER INFO` says."""
    good = info.get("cluster_state") == "ok"
    seen.gauges.append(FACTS("cluster_ok", good))
    for name in ("slots_failed", "slots_assigned", "cluster_nodes"):
        value = _number(info, _PLAIN[name][0])
        if value is not None:
            seen.gauges.append(FACTS(name, value))
    if not good:
        assigned = info.get("cluster_slots_assigned", "?")
        seen.bad.append(f"the cluster is down: {assigned} of 16384 hash slots have a node")


def read_sentinel(
    masters: Iterable[Mapping[str, str]], quorum: Mapping[str, str | None], seen: Seen
) -> None:
    """What `SENTINEL MASTERS` says; `quorum` is why a failover cannot be agreed on, or None."""
    for master in list(masters)[:_MOST_MASTERS]:
        name = master.get("name", "")
        flags = master.get("flags", "").split(",")
        up = not {"s_down", "o_down", "disconnected"} & set(flags)
        seen.gauges.append(FACTS("sentinel_master_up", up, master=name))
        others, replicas = _number(master, "num-other-sentinels"), _number(master, "num-slaves")
        if others is not None:
            seen.gauges.append(FACTS("sentinel_sentinels", others + 1, master=name))
        if replicas is not None:
            seen.gauges.append(FACTS("sentinel_replicas", replicas, master=name))
        if "o_down" in flags:
            seen.bad.append(f"the sentinels agree that master {name!r} is down")
        elif not up:
            seen.poor.append(f"this sentinel does not reach master {name!r}")
        if name in quorum:
            seen.gauges.append(FACTS("sentinel_quorum_ok", quorum[name] is None, master=name))
            if quorum[name] is not None:
                seen.bad.append(f"no failover of {name!r} is possible: {quorum[name]}")


def _pairs(text: str) -> dict[str, str]:
    """`keys=1,expires=0` as a table."""
    parts = (part.partition("=") for part in text.split(","))
    return {key: value for key, equals, value in parts if equals}


def _number(table: Mapping[str, str], key: str) -> float | None:
    try:
        return float(table[key])
    except (KeyError, ValueError):
        return None
