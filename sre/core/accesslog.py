"""What does one line of a web server's access log say? (pure)

`line_parser` makes a function from a line to an `Entry` for a format: `combined` (with or without
$request_time at the end, as nginx and Apache write it), `json` (nginx, Caddy and Traefik as they
are, others by the names of their fields), or a `log_format` in nginx's own syntax. An entry holds
no query string, no user, no address and no cookie: what is never read cannot leak.
"""

from __future__ import annotations

import re
from calendar import timegm
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

__all__ = ["MAX_LINE", "Entry", "Parser", "clean_path", "line_parser", "request_of", "time_of"]

MAX_LINE = 64 * 2**10
"""Characters of the longest line that is read: twice what nginx' largest headers come to."""


class Entry(NamedTuple):
    """One request, as far as its line tells.

    Attributes:
        time: seconds since the epoch, None when the line has none or it is not understood.
        method: upper case; empty when the request was none (a scan, an empty connection).
        path: without query string; empty when the request was none.
        seconds: how long it took.
        bytes: of the answer.
    """

    time: float | None
    method: str
    path: str
    status: int
    seconds: float | None
    bytes: int
    agent: str | None


Parser = Callable[[str], Entry | None]
"""From a line to what it says; None when it is of another format. Never raises."""

_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {name: number for number, name in enumerate(_NAMES, start=1)}
_QUOTED = r'[^"\\]*+(?:\\.[^"\\]*+)*+'
_COMBINED = re.compile(
    rf'[^ ]*+ [^ ]*+ .*? ?\[(\d[^\]]{{0,40}}+)\] "({_QUOTED})" (\d{{3}}) (\d{{1,18}}|-)'
    rf'(?: "{_QUOTED}" "({_QUOTED})")?+(?: (?:"?[a-z_]*=?"?)(\d{{1,9}}\.\d{{1,9}})"?)?+'
)
_METHOD = re.compile(r"[A-Z][A-Z_-]{0,19}")
_CUT = re.compile(r"[?#;]")
_MAX_PATH = 2048


def line_parser(
    text: str = "combined", fields: Mapping[str, str] | None = None, unit: str = "s"
) -> Parser:
    """The parser of a format.

    Args:
        text: `combined`, `json`, or a format in nginx's syntax, alone or as its whole directive.
        fields: of `json`: which of its names (dots go deeper) hold time, method, path, request,
            status, seconds, bytes, agent; what is left out is found by the usual names.
        unit: of `json`: what the numbers of a field named in `fields` for `seconds` are in.

    Raises:
        ValueError: not a format, or one without status or path.
    """
    from sre.core.jsonlog import json_parser  # noqa: PLC0415  they need Entry from here
    from sre.core.logformat import format_parser  # noqa: PLC0415

    if text == "json":
        return json_parser(fields or {}, unit)
    if fields:
        raise ValueError("fields are those of `format: json`")
    if text == "combined":
        return _combined
    if "$" not in text:
        raise ValueError(
            f"format {text!r} is neither 'combined' nor 'json' nor an nginx log_format such as "
            "'$remote_addr [$time_local] \"$request\" $status $request_time'"
        )
    return format_parser(text)


def _combined(line: str) -> Entry | None:
    match = _COMBINED.match(line)
    if match is None:
        return None
    when, request, status, size, agent, seconds = match.groups()
    method, path = request_of(request)
    return Entry(
        time_of(when),
        method,
        path,
        int(status),
        float(seconds) if seconds else None,
        int(size) if size != "-" else 0,
        agent,
    )


def request_of(line: str) -> tuple[str, str]:
    """Method and path of a request line; empty when it is none."""
    method, _, rest = line.partition(" ")
    target = rest.rpartition(" ")[0] or rest
    if not target or not _METHOD.fullmatch(method):
        return "", ""
    return method, clean_path(target)


def clean_path(target: str) -> str:
    """The path of a request's target: no scheme, host, query string, or `;` parameter."""
    cut = _CUT.search(target)
    path = target[: cut.start()] if cut else target
    if not path.startswith("/"):
        _, scheme, rest = path.partition("://")
        slash = rest.find("/")
        path = (rest[slash:] if slash >= 0 else "/") if scheme else path if path == "*" else ""
    return path[:_MAX_PATH]


@lru_cache(maxsize=4096)
def time_of(text: str) -> float | None:
    """Seconds since the epoch of nginx's $time_local, of ISO 8601, or of such a number."""
    try:
        if text[2:3] == "/" and text[11:12] == ":":
            return _local(text)
        if text.replace(".", "", 1).isdecimal():
            return float(text)
        found = datetime.fromisoformat(text.replace(",", ".", 1))
    except (ValueError, KeyError, IndexError, OverflowError):
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _local(text: str) -> float:
    """`21/Nov/2026:04:52:44 +0100`; without a zone it is UTC."""
    day, month, year = int(text[:2]), _MONTHS[text[3:6]], int(text[7:11])
    hour, minute, second = int(text[12:14]), int(text[15:17]), float(text[18:].partition(" ")[0])
    zone = text.partition(" ")[2]
    offset = (int(zone[1:3]) * 60 + int(zone[3:5])) * 60 if len(zone) == 5 else 0
    at = timegm((year, month, day, hour, minute, 0)) + second
    return at + offset if zone.startswith("-") else at - offset
