"""Who asks, as far as one line of an access log tells? (pure)

Apart from `accesslog`, whose entries hold no address. What comes out of here is an address: a
caller keeps it no longer than it takes to tell one visitor from another, and never writes it.
"""

from __future__ import annotations

from collections.abc import Callable

from sre.core.jsonlog import json_reader
from sre.core.logformat import variable_reader

__all__ = ["Reader", "visitor_reader"]

Reader = Callable[[str], str | None]
"""From a line to the visitor's address; None when it does not tell."""

_VARIABLES = (
    "http_x_forwarded_for",
    "proxy_add_x_forwarded_for",
    "http_x_real_ip",
    "realip_remote_addr",
    "remote_addr",
    "binary_remote_addr",
)
_JSON = (
    "http_x_forwarded_for",
    "x_forwarded_for",
    "request.client_ip",
    "client_ip",
    "remote_addr",
    "request.remote_ip",
    "remote_ip",
    "ClientHost",
    "client",
)


def visitor_reader(text: str, field: str | None = None) -> Reader | None:
    """The reader for a format as of `line_parser`; None when the format has no address.

    Args:
        field: of `json`: the field that holds it; the usual names unless told.

    Raises:
        ValueError: not a format.
    """
    if text == "json":
        return json_reader((field,) if field else _JSON)
    if text == "combined":
        return _first_word
    return variable_reader(text, _VARIABLES)


def _first_word(line: str) -> str | None:
    return line.partition(" ")[0] or None
