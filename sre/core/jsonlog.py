"""What does one line of a JSON access log say, whoever wrote it? (pure)"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from sre.core.accesslog import Entry, Parser, clean_path, request_of, time_of

__all__ = ["FIELDS", "UNITS", "json_parser", "json_reader"]

UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
"""What a number for `seconds` may be in -> seconds."""

_Name = tuple[tuple[str, ...], float]
"""Where a field is, from the outside inwards; and what its numbers are multiplied with."""


def _names(*names: str, scale: float = 1.0) -> tuple[_Name, ...]:
    return tuple((tuple(name.split(".")), scale) for name in names)


FIELDS: Mapping[str, tuple[_Name, ...]] = {
    "time": _names(
        "time_iso8601", "@timestamp", "ts", "StartUTC", "time_local", "msec", "timestamp", "time"
    ),
    "method": _names("request_method", "request.method", "RequestMethod", "method"),
    "path": _names("request_uri", "request.uri", "RequestPath", "uri", "path", "url"),
    "request": _names("request"),
    "status": _names("status", "DownstreamStatus", "status_code"),
    "seconds": (
        *_names("request_time", "duration", "upstream_response_time"),
        *_names("Duration", scale=1e-9),
    ),
    "bytes": _names("body_bytes_sent", "bytes_sent", "size", "DownstreamContentSize", "bytes"),
    "agent": _names(
        "http_user_agent", "request.headers.User-Agent", "request_User-Agent", "user_agent", "agent"
    ),
}
"""The usual names: nginx' variables first, then Caddy's and Traefik's."""

_GO = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)(ns|us|µs|μs|ms|s|m|h)")
_GO_UNITS = {**UNITS, "µs": 1e-6, "μs": 1e-6, "m": 60.0, "h": 3600.0}


def json_parser(fields: Mapping[str, str], unit: str) -> Parser:
    """The parser; `fields` and `unit` as for `line_parser`.

    Raises:
        ValueError: there is no such field or unit.
    """
    unknown = fields.keys() - FIELDS.keys()
    if unknown:
        raise ValueError(f"fields has no {min(unknown)!r}; it may name {', '.join(FIELDS)}")
    if unit not in UNITS:
        raise ValueError(f"unit {unit!r} is none of {', '.join(UNITS)}")
    wanted = dict(FIELDS)
    for field, name in fields.items():
        wanted[field] = _names(name, scale=UNITS[unit] if field == "seconds" else 1.0)
    return _parser(wanted)


def json_reader(names: Sequence[str]) -> Callable[[str], str | None]:
    """What a line has for the first of these fields that is there; dots go deeper."""
    wanted = _names(*names)

    def read(line: str) -> str | None:
        found = _object(line)
        return _text(_first(found, wanted)[0]) if found else None

    return read


def _parser(wanted: Mapping[str, Sequence[_Name]]) -> Parser:
    time_at, method_at, path_at = wanted["time"], wanted["method"], wanted["path"]
    status_at, seconds_at, bytes_at = wanted["status"], wanted["seconds"], wanted["bytes"]
    request_at, agent_at = wanted["request"], wanted["agent"]

    def parse(line: str) -> Entry | None:
        found = _object(line)
        if found is None:
            return None
        status = _integer(_first(found, status_at)[0])
        method, path = _first(found, method_at)[0], _first(found, path_at)[0]
        if not isinstance(path, str):
            request = _first(found, request_at)[0]
            if not isinstance(request, str):
                return None
            method, path = request_of(request)
        if status is None or not -1 < status < 1000:
            return None
        seconds, scale = _first(found, seconds_at)
        return Entry(
            _time(_first(found, time_at)[0]),
            method.upper()[:20] if isinstance(method, str) else "",
            clean_path(path),
            status,
            _seconds(seconds, scale),
            max(0, _integer(_first(found, bytes_at)[0]) or 0),
            _text(_first(found, agent_at)[0]),
        )

    return parse


def _object(line: str) -> dict[str, Any] | None:
    """The object in a line, whatever a log collector wrote before it."""
    try:
        found = orjson.loads(line if line.startswith("{") else line[line.index("{") :])
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _first(found: dict[str, Any], names: Sequence[_Name]) -> tuple[Any, float]:
    """The first of these fields that is there and says something."""
    for path, scale in names:
        value: Any = found.get(path[0] if len(path) == 1 else ".".join(path))
        if value is None and len(path) > 1:
            value = found
            for name in path:
                value = value.get(name) if isinstance(value, dict) else None
        if value is not None and value not in ("", "-") and not isinstance(value, dict):
            return value, scale
    return None, 1.0


def _time(value: Any) -> float | None:
    if isinstance(value, str):
        return time_of(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return (
        None if not abs(value) < 1e15 else value / 1000.0 if value > 1e11 else float(value)
    )  # milliseconds, as some write them


def _integer(value: Any) -> int | None:
    if isinstance(value, str):
        return int(value) if value.isdecimal() and len(value) < 19 else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e15:
        return None
    return int(value)


def _seconds(value: Any, scale: float) -> float | None:
    """A number, nginx's list of numbers (the sum), or a duration as Go writes it."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return value * scale if 0 <= value < 1e15 else None
    text = value if isinstance(value, str) else ""
    parts = _GO.findall(text)
    if parts:
        return sum(float(number) * _GO_UNITS[unit] for number, unit in parts)
    numbers = re.findall(r"\d{1,15}\.?\d{0,15}", text)
    return sum(float(each) for each in numbers) * scale if numbers else None


def _text(value: Any) -> str | None:
    if isinstance(value, list):
        value = value[0] if value else None
    return value[:512] if isinstance(value, str) else None
