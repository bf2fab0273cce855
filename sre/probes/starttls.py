"""How is TLS begun on a connection that starts in plain text, in each protocol that can?

MySQL is left out on purpose: it counts every connection that ends in its handshake, and after 100
of them (`max_connect_errors`) it refuses the whole machine.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from sre.probes.conversation import (
    Exchange,
    Heard,
    Pattern,
    Say,
    Secure,
    Talk,
    Unmatched,
    converse,
)

__all__ = ["STARTTLS"]

_LIMIT = 64 * 2**10
_POSTGRES_REQUEST = b"\0\0\0\x08\x04\xd2\x16\x2f"


def _turn(expect: str, refuse: str, send: str = "", *, starttls: bool = False) -> Exchange:
    wanted: tuple[Pattern, Pattern] = (re.compile(expect), re.compile(refuse))
    return Exchange(*wanted, send=send, end="\r\n", starttls=starttls)


_TEXT = {
    "smtp": (
        _turn(r"^220 ", r"^[45]\d\d", "EHLO probe.invalid"),
        _turn(r"^250[- ]STARTTLS\b", r"^250 |^[45]\d\d"),
        Exchange(send="STARTTLS", end="\r\n"),
        _turn(r"^220 ", r"^[45]\d\d", starttls=True),
    ),
    "imap": (
        _turn(r"^\* (OK|PREAUTH)", r"^\* BYE", "a1 STARTTLS"),
        _turn(r"(?i)^a1 OK", r"(?i)^a1 (NO|BAD)|^\* BYE", starttls=True),
    ),
    "pop3": (
        _turn(r"^\+OK", r"^-ERR", "STLS"),
        _turn(r"^\+OK", r"^-ERR", starttls=True),
    ),
    "ftp": (
        _turn(r"^220 ", r"^[45]\d\d", "AUTH TLS"),
        _turn(r"^234", r"^[45]\d\d", starttls=True),
    ),
}


def _postgres() -> Talk:
    heard = Heard(_LIMIT)
    yield Say(_POSTGRES_REQUEST)
    answer = yield from heard.take(1)
    if answer != b"S" or heard.waiting:
        raise Unmatched("the server refused" if answer == b"N" else "no server of PostgreSQL")
    yield Secure()


def _text(protocol: str) -> Callable[[], Talk]:
    return lambda: converse(_TEXT[protocol], [], limit=_LIMIT)


STARTTLS: dict[str, Callable[[], Talk]] = {
    **{protocol: _text(protocol) for protocol in _TEXT},
    "postgres": _postgres,
}
"""The talk of each protocol; it ends when TLS has begun."""
