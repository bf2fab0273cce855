"""What do the answers of Redis and of its sentinels say? (pure)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["SETTINGS", "node_questions", "read_node", "read_sentinel", "sentinel_questions"]

SETTINGS = (
    "min-replicas-to-write",
    "min-replicas-max-lag",
    "replica-priority",
    "replica-read-only",
    "save",
    "appendonly",
    "masterauth",
    "requirepass",
    "dbfilename",
    "appenddirname",
    "stop-writes-on-bgsave-error",
    "repl-ping-replica-period",
    "repl-timeout",
)
_SECRET = ("masterauth", "requirepass")


def node_questions() -> list[tuple[object, ...]]:
    """What a node is asked."""
    return [("INFO",), *(("CONFIG", "GET", name) for name in SETTINGS)]


def sentinel_questions(master: str) -> list[tuple[object, ...]]:
    """What a sentinel is asked."""
    return [
        ("SENTINEL", "MASTER", master),
        ("SENTINEL", "REPLICAS", master),
        ("SENTINEL", "CKQUORUM", master),
    ]


def read_node(answers: Sequence[Any]) -> dict[str, Any]:
    """Of a node: everything as plain values. Raises ValueError: INFO was refused, or is none."""
    info = _info(answers[0])
    settings = _settings(answers[1:])
    role = info.get("role", "")
    replica = role == "slave"
    offset = "slave_repl_offset" if replica else "master_repl_offset"
    return {
        "role": role,
        "runid": info.get("run_id", ""),
        "version": info.get("redis_version", ""),
        "cluster": info.get("cluster_enabled") == "1",
        "uptime": _number(info, "uptime_in_seconds") or 0,
        "config": info.get("config_file", ""),
        "replid": info.get("master_replid", ""),
        "replid2": info.get("master_replid2", ""),
        "second": _number(info, "second_repl_offset", -1),
        "offset": _number(info, offset),
        "loading": info.get("loading", "0") != "0",
        "link": info.get("master_link_status", "") == "up",
        "host": info.get("master_host", ""),
        "port": _number(info, "master_port"),
        "silent": _number(info, "master_last_io_seconds_ago", -1),
        "down": _number(info, "master_link_down_since_seconds", -1),
        "syncing": info.get("master_sync_in_progress", "0") != "0",
        "good": _number(info, "min_slaves_good_slaves"),
        "replicas": [_pairs(value) for key, value in info.items() if _is_replica(key)],
        "bgsave_ok": info.get("rdb_last_bgsave_status", "ok") == "ok",
        "append_ok": info.get("aof_last_write_status", "ok") == "ok",
        "saving": info.get("rdb_bgsave_in_progress", "0") != "0",
        "settings": settings,
    }


def _info(answer: Any) -> dict[str, str]:
    if not isinstance(answer, str):
        raise ValueError(  # noqa: TRY004  not a wrong type: a refusal
            f"INFO was refused: {getattr(answer, 'text', 'no text')}"
        )
    pairs = (line.partition(":") for line in answer.splitlines() if not line.startswith("#"))
    found = {key: value.strip() for key, colon, value in pairs if colon}
    if "role" not in found:
        raise ValueError("it answers INFO without a role")
    if found.get("redis_mode") == "sentinel":
        raise ValueError("it is a sentinel, not a server: mend the dsn")
    return found


def _settings(answers: Sequence[Any]) -> dict[str, str]:
    """Those that it tells; of passwords only whether there is one."""
    found: dict[str, str] = {}
    for answer in answers:
        if isinstance(answer, list) and len(answer) == 2:
            name, value = str(answer[0]), str(answer[1])
            found[name] = ("set" if value else "") if name in _SECRET else value
    return found


def read_sentinel(answers: Sequence[Any]) -> dict[str, Any]:
    """Of a sentinel. Raises ValueError: it does not know the master, or refuses to say."""
    master, replicas, quorum = answers
    if not isinstance(master, list):
        words = getattr(master, "text", "it does not answer as a sentinel does")
        raise ValueError(str(words))  # noqa: TRY004  not a wrong type: a refusal
    row = _row(master)
    rows = [_row(each) for each in replicas] if isinstance(replicas, list) else []
    return {
        "runid": row.get("runid", ""),
        "host": row.get("ip", ""),
        "port": _number(row, "port"),
        "flags": row.get("flags", "").split(","),
        "epoch": _number(row, "config-epoch"),
        "quorum": _number(row, "quorum"),
        "others": _number(row, "num-other-sentinels"),
        "heard": _number(row, "last-ok-ping-reply"),
        "s_down": _number(row, "s-down-time"),
        "o_down": _number(row, "o-down-time"),
        "down_after": _number(row, "down-after-milliseconds"),
        "failover_timeout": _number(row, "failover-timeout"),
        "able": isinstance(quorum, str),
        "unable": "" if isinstance(quorum, str) else str(getattr(quorum, "text", "")),
        "replicas": [
            {
                "runid": each.get("runid", ""),
                "host": each.get("ip", ""),
                "port": _number(each, "port"),
                "flags": each.get("flags", "").split(","),
                "priority": _number(each, "slave-priority"),
                "link": each.get("master-link-status", ""),
            }
            for each in rows
        ],
    }


def _row(flat: Sequence[Any]) -> dict[str, str]:
    return {str(k): str(v) for k, v in zip(flat[::2], flat[1::2], strict=False)}


def _pairs(text: str) -> dict[str, str]:
    parts = (part.partition("=") for part in text.split(","))
    return {key: value for key, equals, value in parts if equals}


def _is_replica(key: str) -> bool:
    return key.startswith("slave") and key[5:].isdecimal()


def _number(table: Mapping[str, str], key: str, default: int | None = None) -> int | None:
    try:
        return int(table[key])
    except (KeyError, ValueError):
        return default
