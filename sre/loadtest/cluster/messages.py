"""What may master and worker say to each other, and what is no such message? (pure)

Ours travel as one of Locust's custom messages, whose data is JSON. Everything that arrives is
checked for size and shape before anybody looks at it; what does not pass is dropped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgpack
import orjson

__all__ = ["FROM_MASTER", "FROM_WORKER", "LIMIT", "PROTOCOL", "TYPE", "decode", "encode", "opened"]

PROTOCOL = 1
TYPE = "sre"
"""The name of our custom message."""

LIMIT = 8 * 2**20
"""Bytes of one message; a delta has some ten kilobytes."""

_TEXT = 2000
_FIELDS: dict[str, dict[str, Any]] = {
    # from a worker
    "hello": {"protocol": int, "sre": str, "locust": str, "python": str, "host": str},
    "compiled": {"digests": dict, "why": str},
    "ready": {},
    "pong": {"number": int, "at": float},
    "delta": {"delta": dict},
    "leaving": {"why": str},
    # from the master
    "plan": {"sheet": dict},
    "refused": {"why": str, "code": int},
    "ping": {"number": int},
    "start": {"begin": float},
    "stop": {},
    "bye": {},
}
FROM_WORKER = frozenset({"hello", "compiled", "ready", "pong", "delta", "leaving"})
FROM_MASTER = frozenset(_FIELDS) - FROM_WORKER

_SPAWN = {"timestamp", "user_classes_count", "host", "stop_timeout", "parsed_options"}
_LOCUSTS: dict[str, Any] = {
    "client_ready": lambda data: isinstance(data, str) and len(data) < 100,
    "heartbeat": lambda data: data is None or _is_heartbeat(data),
    "spawning": lambda data: data is None,
    "spawning_complete": lambda data: isinstance(data, dict) and "user_count" in data,
    "client_stopped": lambda data: data is None,
    "quit": lambda data: data is None,
    "ack": lambda data: isinstance(data, dict),
    "spawn": lambda data: isinstance(data, dict) and data.keys() >= _SPAWN,
    "stop": lambda data: data is None,
    TYPE: lambda data: isinstance(data, bytes),
}


def encode(kind: str, **fields: Any) -> bytes:
    """One message of ours."""
    return orjson.dumps({"kind": kind, **fields})


def decode(data: object, allowed: frozenset[str]) -> tuple[str, dict[str, Any]]:
    """Kind and fields of a message of ours. Raises ValueError when it is none."""
    if not isinstance(data, bytes) or len(data) > LIMIT:
        raise ValueError("no message")
    fields = orjson.loads(data)
    kind = fields.pop("kind", None) if isinstance(fields, dict) else None
    if not isinstance(kind, str) or kind not in allowed or fields.keys() != _FIELDS[kind].keys():
        raise ValueError("unknown message")
    for name, wanted in _FIELDS[kind].items():
        value = fields[name]
        if wanted is float and isinstance(value, int) and not isinstance(value, bool):
            value = fields[name] = float(value)
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise ValueError(f"{kind}: {name} is of the wrong type")  # noqa: TRY004  one kind
        if wanted is str and len(value) > _TEXT:
            raise ValueError(f"{kind}: {name} is too long")
    return kind, fields


def opened(frames: Sequence[bytes], sender: str | None = None) -> tuple[str, Any, str] | None:
    """(type, data, sender) of what came over Locust's socket; None when it is nothing we know.

    Args:
        frames: as ZeroMQ delivered them; a master's begin with the identity of the connection, and
            the message must not claim another.
        sender: at a worker, who has a single connection, whom to believe it is.
    """
    if len(frames) != (2 if sender is None else 1) or len(frames[-1]) > LIMIT + 1024:
        return None
    try:
        identity = frames[0].decode("utf-8") if sender is None else sender
        whole = msgpack.unpackb(frames[-1], raw=False, strict_map_key=True)
    except (ValueError, TypeError, msgpack.UnpackException):
        return None
    if not isinstance(whole, list) or len(whole) != 3 or not isinstance(whole[0], str):
        return None
    kind, data, claimed = whole
    if claimed != identity or not _LOCUSTS.get(kind, lambda _: False)(data):
        return None
    return kind, data, identity


def _is_heartbeat(data: object) -> bool:
    if not isinstance(data, Mapping) or not isinstance(data.get("state"), str):
        return False
    return all(
        isinstance(data.get(key), int | float)
        for key in ("current_cpu_usage", "current_memory_usage")
    )
