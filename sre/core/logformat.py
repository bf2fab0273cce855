"""How does a `log_format` of nginx become a parser of its lines? (pure)

Each variable becomes a piece of one regular expression that runs in linear time: inside quotes it
ends at the quote, elsewhere at the next space or literal character; nothing is tried twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from sre.core.accesslog import Entry, Parser, clean_path, request_of, time_of

__all__ = ["format_parser", "variable_reader"]

_VARIABLE = re.compile(r"\$\{?([a-zA-Z0-9_]+)\}?")
_DIRECTIVE = re.compile(r"\s*log_format\s+\S+\s+(?:escape=\w+\s+)?(.*?);?\s*", re.DOTALL)
_PIECE = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"")
_QUOTED = r'[^"\\]*+(?:\\.[^"\\]*+)*+'
_LIST = r"(?:-|[\d.]{1,20})(?:(?:, | : )(?:-|[\d.]{1,20}))*+"
_WORDS = r"[^ ]*+(?:(?:, | : )[^ ]*+)*+"
_SHAPES = {
    "time_local": r"[^ \]]*+ [+-]\d{4}",
    "request": r"[^ ]*+ [^ ]*+ [^ ]*+",
    "status": r"\d{3}",
    "request_time": r"[\d.]{1,20}|-",
    "upstream_response_time": _LIST,
    "upstream_connect_time": _LIST,
    "upstream_header_time": _LIST,
    "upstream_status": _LIST,
    "upstream_addr": _WORDS,
    "http_x_forwarded_for": _WORDS,
    "proxy_add_x_forwarded_for": _WORDS,
}
"""Variables that may hold a space, or must be a number, where no quote says where they end."""

_FIELDS: Mapping[str, tuple[str, ...]] = {
    "time": ("msec", "time_iso8601", "time_local"),
    "request": ("request",),
    "method": ("request_method",),
    "path": ("request_uri", "uri", "document_uri"),
    "status": ("status",),
    "seconds": ("request_time", "upstream_response_time"),
    "bytes": ("body_bytes_sent", "bytes_sent"),
    "agent": ("http_user_agent",),
}


def format_parser(text: str) -> Parser:
    """The parser of lines that nginx writes in this format.

    Raises:
        ValueError: it says nothing of the status or of the path, or where one variable ends and
            the next begins cannot be told.
    """
    text = _unwrapped(text)
    found = _VARIABLE.findall(text)
    names = {
        field: next((one for one in known if one in found), "") for field, known in _FIELDS.items()
    }
    if not names["status"] or not (names["path"] or names["request"]):
        raise ValueError("format needs $status, and $request or $request_uri")
    pattern, groups = _pattern(text, {name for name in names.values() if name})
    at = {field: groups.get(name) for field, name in names.items()}
    return _parser(pattern, at)


def variable_reader(text: str, names: Sequence[str]) -> Callable[[str], str | None] | None:
    """What a line has for the first of these variables that the format has; None: it has none.

    Raises ValueError as `format_parser` does.
    """
    text = _unwrapped(text)
    found = _VARIABLE.findall(text)
    name = next((one for one in names if one in found), None)
    if name is None:
        return None
    pattern, groups = _pattern(text, {name})
    at = groups[name]

    def read(line: str) -> str | None:
        match = pattern.match(line)
        return match[at] if match else None

    return read


def _unwrapped(text: str) -> str:
    """The format itself, where somebody pasted the whole directive."""
    match = _DIRECTIVE.fullmatch(text)
    if match is None:
        return text.strip()
    pieces = _PIECE.findall(match[1])
    return "".join(re.sub(r"\\(.)", r"\1", one or two) for one, two in pieces).strip()


def _pattern(text: str, wanted: set[str]) -> tuple[re.Pattern[str], dict[str, int]]:
    """The expression, and which of its groups is which variable."""
    parts: list[str] = []
    groups: dict[str, int] = {}
    end, loose = 0, 0
    for match in _VARIABLE.finditer(text):
        before, after = text[end : match.start()], text[match.end() : match.end() + 1]
        if end and not before:
            raise ValueError(f"format: nothing stands between two variables before {match[0]}")
        shape, is_loose = _shape(match[1], text[match.start() - 1 : match.start()], after)
        loose += is_loose
        keep = match[1] in wanted and match[1] not in groups
        if keep:
            groups[match[1]] = len(groups) + 1
        parts += [re.escape(before), f"({shape})" if keep else f"(?:{shape})"]
        end = match.end()
    if loose > 1:
        raise ValueError("format: put variables that may hold spaces, such as agents, in quotes")
    parts.append(re.escape(text[end:]))
    return re.compile("".join(parts)), groups


def _shape(name: str, before: str, after: str) -> tuple[str, bool]:
    """What a variable looks like; and whether only the rest of the line tells where it ends."""
    if name in ("status", "request_time"):
        return _SHAPES[name], False
    if before == '"' and after == '"':
        return _QUOTED, False
    if name in _SHAPES:
        return _SHAPES[name], False
    if name.startswith(("http_", "sent_http_", "upstream_http_", "remote_user", "cookie_")):
        return (
            r"[^ ]*+" if name in ("http_host", "remote_user") else r".*?" if after else r".*"
        ), (name not in ("http_host", "remote_user"))
    if after and after not in " \\":
        return rf"[^ {re.escape(after)}]*+", False
    return r"[^ ]*+", False


def _parser(pattern: re.Pattern[str], at: Mapping[str, int | None]) -> Parser:
    time_at, request_at, method_at, path_at = (at[n] for n in ("time", "request", "method", "path"))
    seconds_at, bytes_at, agent_at = (at[n] for n in ("seconds", "bytes", "agent"))
    status_at = at["status"] or 0

    def parse(line: str) -> Entry | None:
        match = pattern.match(line)
        if match is None:
            return None
        method = match[method_at] if method_at else ""
        path = clean_path(match[path_at]) if path_at else ""
        if request_at and not (method_at and path_at):
            first, second = request_of(match[request_at])
            method, path = method or first, path or second
        return Entry(
            time_of(match[time_at]) if time_at else None,
            method,
            path,
            int(match[status_at]),
            _seconds(match[seconds_at]) if seconds_at else None,
            _count(match[bytes_at]) if bytes_at else 0,
            match[agent_at] if agent_at else None,
        )

    return parse


def _seconds(text: str) -> float | None:
    """A time; of several servers that were tried (`0.1, 0.2`) the sum."""
    try:
        return float(text) if len(text) <= 20 and text[:1].isdecimal() else _listed(text)
    except ValueError:
        return _listed(text)


def _listed(text: str) -> float | None:
    found = re.findall(r"\d{1,15}\.?\d{0,15}", text)
    return sum(float(each) for each in found) if found else None


def _count(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 19 else 0
