"""Which servers does an upstream of an nginx configuration open, and how is that changed alone?

Pure: bytes in, bytes out. Only words of the `server` directives in question change.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

__all__ = ["Declared", "Wish", "edited", "servers", "upstreams", "value_of"]

_TOKEN = re.compile(
    rb"""\s+|\#[^\n]*|(?P<sign>[;{}])|(?P<word>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'"""
    rb"""|(?:\\.|\$\{[^}]*\}|[^\s;{}"'\\])(?:\\.|\$\{[^}]*\}|[^\s;{}\\])*)""",
    re.DOTALL,
)


@dataclass(frozen=True)
class Declared:
    """A server as the file has it; `address` is how it is written."""

    address: str
    down: bool
    weight: int


@dataclass(frozen=True)
class Wish:
    """What the file shall say of a server; None leaves it."""

    down: bool | None = None
    weight: int | None = None


@dataclass(frozen=True)
class _Word:
    text: bytes
    start: int
    end: int


def servers(text: bytes, upstream: str) -> tuple[Declared, ...]:
    """Those of `upstream {NAME}`, in the file's order."""
    return tuple(map(_declared, _server_words(text, upstream)))


def upstreams(text: bytes) -> tuple[str, ...]:
    """The names of all upstreams."""
    found = (path[-1] for path, _ in _directives(text) if path)
    names = (_plain(block[1]) for block in found if block[:1] == (b"upstream",) and block[1:])
    return tuple(dict.fromkeys(names))


def value_of(text: bytes, directive: str) -> str | None:
    """The first argument of a directive outside of all blocks, such as `pid`."""
    for path, words in _directives(text):
        if not path and words[0].text == directive.encode() and len(words) > 1:
            return _plain(words[1].text)
    return None


def edited(text: bytes, upstream: str, wishes: Mapping[str, Wish]) -> bytes:
    """The file with each server (by its address as written) as wished.

    Raises:
        KeyError: the upstream has no such server.
    """
    changes: list[tuple[int, int, bytes]] = []
    met = set()
    for words in _server_words(text, upstream):
        now = _declared(words)
        wish = wishes.get(now.address)
        if wish is None:
            continue
        met.add(now.address)
        if wish.down is not None and wish.down != now.down:
            changes += _down(text, words, wish.down)
        if wish.weight is not None and wish.weight != now.weight:
            changes += _weight(words, wish.weight)
    missing = sorted(set(wishes) - met)
    if missing:
        raise KeyError(missing[0])
    for start, end, new in sorted(changes, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _down(text: bytes, words: list[_Word], down: bool) -> list[tuple[int, int, bytes]]:  # noqa: FBT001
    if down:
        return [(words[-1].end, words[-1].end, b" down")]
    changes = []
    for word in words[2:]:
        if word.text == b"down":
            start = word.start
            while text[start - 1 : start].isspace():
                start -= 1
            changes.append((start, word.end, b""))
    return changes


def _weight(words: list[_Word], weight: int) -> list[tuple[int, int, bytes]]:
    value = b"weight=" + str(weight).encode()
    old = [word for word in words[2:] if word.text.startswith(b"weight=")]
    if old:
        return [(word.start, word.end, value) for word in old]
    return [(words[1].end, words[1].end, b" " + value)]


def _declared(words: list[_Word]) -> Declared:
    options = [word.text for word in words[2:]]
    weights = [each[7:] for each in options if each.startswith(b"weight=") and each[7:].isdigit()]
    weight = int(weights[-1]) if weights else 1
    return Declared(_plain(words[1].text), b"down" in options, weight)


def _server_words(text: bytes, upstream: str) -> Iterator[list[_Word]]:
    for path, words in _directives(text):
        if not path or path[-1][:1] != (b"upstream",) or len(path[-1]) < 2:
            continue
        if _plain(path[-1][1]) == upstream and words[0].text == b"server" and len(words) > 1:
            yield words


def _directives(text: bytes) -> Iterator[tuple[tuple[tuple[bytes, ...], ...], list[_Word]]]:
    """Each simple directive with the blocks around it."""
    path: list[tuple[bytes, ...]] = []
    words: list[_Word] = []
    for found in _TOKEN.finditer(text):
        if found["word"] is not None:
            words.append(_Word(found["word"], found.start(), found.end()))
        elif found["sign"] is not None:
            if found["sign"] == b";" and words:
                yield tuple(path), words
            elif found["sign"] == b"{":
                path.append(tuple(word.text for word in words))
            elif found["sign"] == b"}" and path:
                path.pop()
            words = []


def _plain(word: bytes) -> str:
    if word[:1] in (b'"', b"'") and len(word) > 1:
        word = re.sub(rb"\\(.)", rb"\1", word[1:-1])
    return word.decode("utf-8", "replace")
