"""What is said next over a connection, and has the other side answered as it should?

Pure: a talk is a generator that yields `Say`, `Hear` or `Secure` and is sent the bytes that were
heard (`b""`: the other side closed). Who owns the socket drives it (`sre/probes/dialogue.py`).
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

__all__ = [
    "Exchange",
    "Hear",
    "Heard",
    "Pattern",
    "Say",
    "Secure",
    "Talk",
    "Unmatched",
    "converse",
    "expand",
]

_LINE = 64 * 2**10
"""Bytes of one line; the limit of blackbox_exporter's scanner too."""

_REFERENCE = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)\})", re.ASCII)


class Pattern(Protocol):
    """A compiled expression over text, `re`'s or `re2`'s."""

    def search(self, text: str, /) -> Any: ...


class Unmatched(Exception):  # noqa: N818  an answer on its way out, not a fault
    """The other side closed, refused or went on too long without saying what was expected.

    Attributes:
        wanted: what it did not say, where it had the time to.
    """

    def __init__(self, message: str, wanted: Literal["line", "bytes", ""] = "") -> None:
        super().__init__(message)
        self.wanted = wanted


@dataclass(frozen=True, slots=True)
class Say:
    """Send these bytes."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Hear:
    """Wait for more bytes, for at most so many."""

    most: int


@dataclass(frozen=True, slots=True)
class Secure:
    """Begin TLS."""


Talk = Generator[Say | Hear | Secure, bytes, None]


@dataclass(frozen=True)
class Exchange:
    """One turn: wait for a line or for bytes, then say something, then perhaps begin TLS.

    Attributes:
        expect: the line (without its end) that is waited for; others are skipped.
        refuse: a line that ends the talk at once.
        expect_bytes: bytes to wait for, wherever they stand; `exact`: the very next ones.
        send: what to say, with `$1`, `${1}` and `${name}` from the line that matched.
        end: added behind `send`.
        secret: what `${secret}` in `send` stands for.
        labels: names and templates, filled from the line that matched.
    """

    expect: Pattern | None = None
    refuse: Pattern | None = None
    expect_bytes: bytes = b""
    exact: bool = False
    send: str = ""
    end: str = "\n"
    secret: str | None = None
    starttls: bool = False
    labels: tuple[tuple[str, str], ...] = ()


def converse(
    exchanges: Sequence[Exchange],
    labels: list[dict[str, str]],
    *,
    limit: int | None = None,
    strict: bool = True,
) -> Talk:
    """The whole talk, turn by turn.

    Args:
        labels: takes those of each turn that has some, as soon as its line has come.
        limit: bytes that may be heard in all.
        strict: refuse plain text behind the answer to STARTTLS: it was slipped in by somebody.

    Raises:
        Unmatched: see there; out of the generator.
    """
    heard = Heard(limit)
    for turn in exchanges:
        match = None if turn.expect is None else (yield from _line(heard, turn))
        if turn.labels:
            labels.append({name: expand(value, match) for name, value in turn.labels})
        if turn.expect_bytes:
            yield from _bytes(heard, turn)
        text = expand(turn.send, match, turn.secret)
        if text:
            yield Say((text + turn.end).encode())
        if turn.starttls:
            if heard.waiting and strict:
                raise Unmatched("sent plain text behind its answer, where TLS should begin")
            heard.drop()
            yield Secure()


def expand(template: str, match: Any = None, secret: str | None = None) -> str:
    """`$1`, `${1}`, `$name` and `${name}` from a match, `$$` a dollar; an unknown one is nothing.

    Without a match and a secret the text stays as it is, as blackbox_exporter leaves it.
    """
    if match is None and secret is None:
        return template

    def piece(found: re.Match[str]) -> str:
        name = found[2] or found[3]
        if found[1]:
            return "$"
        if name == "secret" and secret is not None:
            return secret
        try:
            return (match.group(int(name) if name.isdecimal() else name) if match else "") or ""
        except (IndexError, KeyError):
            return ""

    return _REFERENCE.sub(piece, template)


def _line(heard: Heard, turn: Exchange) -> Generator[Hear, bytes, Any]:
    while True:
        try:
            text = (yield from heard.line()).decode(errors="replace")
        except Unmatched as error:
            raise Unmatched(str(error), "line" if heard.closed else "") from None
        match = turn.expect.search(text) if turn.expect is not None else None
        if match is not None:
            return match
        if turn.refuse is not None and turn.refuse.search(text) is not None:
            raise Unmatched("the server refused", "line")


def _bytes(heard: Heard, turn: Exchange) -> Generator[Hear, bytes, None]:
    if not turn.exact:
        yield from heard.until(turn.expect_bytes)
    elif (yield from heard.take(len(turn.expect_bytes))) != turn.expect_bytes:
        raise Unmatched("other bytes than the expected ones", "bytes")


@dataclass
class Heard:
    """Bytes that came and were not used yet, taken in lines or in numbers.

    Attributes:
        limit: bytes that may come in all.
        total: bytes that have come.
        closed: whether the other side has closed.
    """

    limit: int | None = None
    total: int = 0
    closed: bool = False
    _buffer: bytes = b""
    _used: int = 0

    @property
    def waiting(self) -> bytes:
        """What came and was not used."""
        return self._buffer[self._used :]

    def drop(self) -> None:
        """Forget what waits."""
        self._buffer, self._used = b"", 0

    def line(self) -> Generator[Hear, bytes, bytes]:
        """The next line, without its end; the last one may have none."""
        while (end := self._buffer.find(b"\n", self._used)) < 0:
            if len(self._buffer) - self._used >= _LINE:
                raise Unmatched(f"a line of more than {_LINE} bytes")
            if not (yield from self._more()):
                rest = self.waiting
                self.drop()
                if rest:
                    return rest.removesuffix(b"\r")
                raise self._ended()
        line, self._used = self._buffer[self._used : end], end + 1
        return line.removesuffix(b"\r")

    def take(self, size: int) -> Generator[Hear, bytes, bytes]:
        """Exactly so many bytes."""
        while len(self._buffer) - self._used < size:
            yield from self.more()
        end = self._used + size
        taken, self._used = self._buffer[self._used : end], end
        return taken

    def until(self, wanted: bytes) -> Generator[Hear, bytes, None]:
        """Everything up to and with these bytes."""
        while (at := self._buffer.find(wanted, self._used)) < 0:
            self._used = max(self._used, len(self._buffer) - len(wanted))
            yield from self.more()
        self._used = at + len(wanted)

    def more(self) -> Generator[Hear, bytes, None]:
        """Wait for something more."""
        if not (yield from self._more()):
            raise self._ended()

    def _more(self) -> Generator[Hear, bytes, bool]:
        if self.limit is not None and self.total >= self.limit:
            raise Unmatched(f"no match in the first {self.limit} bytes")
        left = _LINE if self.limit is None else min(_LINE, self.limit - self.total)
        data = b"" if self.closed else (yield Hear(left))
        self.closed = not data
        self.total += len(data)
        self._buffer, self._used = self._buffer[self._used :] + data, 0
        return bool(data)

    def _ended(self) -> Unmatched:
        return Unmatched(f"closed after {self.total} bytes without a match")
