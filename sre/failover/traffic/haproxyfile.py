"""Which servers does an HAProxy configuration open, and how is that changed, all else untouched?

Pure: bytes in, bytes out. Only words of the `server` lines in question change; comments, order,
quotes, line ends and every other section stay byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

__all__ = ["Declared", "Wish", "edited", "servers"]

_SECTIONS = frozenset(
    b"global defaults frontend backend listen peers resolvers mailers userlist cache program ring "
    b"http-errors fcgi-app log-forward crt-store traces log-profile acme crt-list".split()
)
_WORD = re.compile(rb"""(?:\\.|"(?:\\.|[^"\\])*"|'[^']*'|[^\s"'\\#])+""", re.DOTALL)
_UNQUOTE = re.compile(rb"""\\(.)|"((?:\\.|[^"\\])*)"|'([^']*)'""", re.DOTALL)
_ONE_ARGUMENT = frozenset(
    b"addr agent-addr agent-inter agent-port agent-send alpn ca-file check-alpn "
    b"check-proto check-sni ciphers ciphersuites client-sigalgs cookie crl-file crt curves "
    b"error-limit "
    b"fall fastinter downinter init-addr init-state inter hash-key id log-bufsize log-proto "
    b"max-reuse maxconn maxqueue minconn namespace npn observe on-error on-marked-down "
    b"on-marked-up pool-conn-name pool-low-conn pool-max-conn pool-purge-delay port proto redir "
    b"resolve-net resolve-opts resolve-prefer resolvers rise shard sigalgs slowstart sni "
    b"ssl-max-ver ssl-min-ver socks4 source tcp-ut track verifyhost verify "
    b"weight ws guid set-proxy-v2-tlv-fmt".split()
)


@dataclass(frozen=True)
class Declared:
    """A server as the file has it.

    Attributes:
        disabled: whether HAProxy starts with it in maintenance.
        editable: False for those of a `server-template`, which only come as one.
    """

    backend: str
    name: str
    address: str
    disabled: bool
    weight: int
    editable: bool = True


@dataclass(frozen=True)
class Wish:
    """What the file shall say of a server; None leaves it."""

    disabled: bool | None = None
    weight: int | None = None


@dataclass(frozen=True)
class _Defaults:
    disabled: bool = False
    weight: int = 1


@dataclass(frozen=True)
class _Line:
    """A server line: its words with their places in the file."""

    declared: Declared
    inherited: _Defaults
    words: tuple[tuple[bytes, int, int], ...]
    flags: tuple[int, ...]
    """Which words are `disabled` or `enabled`."""
    weights: tuple[int, ...]
    """Which words are values of `weight`."""


def servers(text: bytes, backends: tuple[str, ...]) -> tuple[Declared, ...]:
    """The servers of these backends, in the file's order."""
    return tuple(line.declared for line in _lines(text, backends))


def edited(text: bytes, wishes: Mapping[tuple[str, str], Wish]) -> bytes:
    """The file with each (backend, server) as wished.

    Raises:
        KeyError: it has no line for one of them; the argument says which.
    """
    changes: list[tuple[int, int, bytes]] = []
    met = set()
    for line in _lines(text, tuple({backend for backend, _ in wishes})):
        key = (line.declared.backend, line.declared.name)
        if key in wishes and line.declared.editable:
            met.add(key)
            changes += _flag_changes(line, wishes[key], text)
            changes += _weight_changes(line, wishes[key])
    missing = sorted(set(wishes) - met)
    if missing:
        raise KeyError("/".join(missing[0]))
    for start, end, new in sorted(changes, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _flag_changes(line: _Line, wish: Wish, text: bytes) -> list[tuple[int, int, bytes]]:
    if wish.disabled is None or wish.disabled == line.declared.disabled:
        return []
    inherited = line.inherited.disabled
    changes = [(_gap(text, line.words[at][1]), line.words[at][2], b"") for at in line.flags]
    if wish.disabled != inherited:
        end = line.words[-1][2]
        changes.append((end, end, b" disabled" if wish.disabled else b" enabled"))
    return changes


def _gap(text: bytes, start: int) -> int:
    """Where the white space before a word begins."""
    while text[start - 1 : start] in (b" ", b"\t"):
        start -= 1
    return start


def _weight_changes(line: _Line, wish: Wish) -> list[tuple[int, int, bytes]]:
    if wish.weight is None or wish.weight == line.declared.weight:
        return []
    value = str(wish.weight).encode()
    if line.weights:
        return [(line.words[at][1], line.words[at][2], value) for at in line.weights]
    end = line.words[-1][2]
    return [(end, end, b" weight " + value)]


def _lines(text: bytes, backends: tuple[str, ...]) -> Iterator[_Line]:
    named: dict[str, _Defaults] = {}
    latest = own = _Defaults()
    kind = name = ""
    for words in _statements(text):
        first = words[0][0]
        if first in _SECTIONS:
            kind, name = first.decode(), _text(words, 1)
            parent = _text(words, _index(words, b"from") + 1) if _index(words, b"from") else ""
            own = named.get(parent, _Defaults() if kind == "defaults" else latest)
            if kind == "defaults":
                latest, named[name] = own, own
        elif first == b"default-server":
            own = _default_of(words, own)
            if kind == "defaults":
                latest, named[name] = own, own
        elif kind in ("backend", "listen") and name in backends and _is_server(words):
            yield from _servers_of(words, name, own)


def _is_server(words: tuple[tuple[bytes, int, int], ...]) -> bool:
    least = {b"server": 3, b"server-template": 4}.get(words[0][0])
    return least is not None and len(words) >= least


def _servers_of(
    words: tuple[tuple[bytes, int, int], ...], backend: str, own: _Defaults
) -> Iterator[_Line]:
    template = words[0][0] == b"server-template"
    flags, weights = _options(words, 4 if template else 3)
    disabled = words[flags[-1]][0] == b"disabled" if flags else own.disabled
    weight = _number(words[weights[-1]][0], own.weight) if weights else own.weight
    address = _text(words, 3 if template else 2)
    first = Declared(backend, _text(words, 1), address, disabled, weight, not template)
    line = _Line(first, own, words, flags, weights)
    for name in _template_names(_text(words, 1), _text(words, 2)) if template else [first.name]:
        yield replace(line, declared=replace(first, name=name))


def _template_names(prefix: str, numbers: str) -> Iterator[str]:
    low, _, high = numbers.partition("-")
    if low.isdigit() and (high.isdigit() or not high):
        start, end = (int(low), int(high)) if high else (1, int(low))
        yield from (f"{prefix}{number}" for number in range(start, min(end, start + 4096) + 1))


def _default_of(words: tuple[tuple[bytes, int, int], ...], own: _Defaults) -> _Defaults:
    flags, weights = _options(words, 1)
    disabled = words[flags[-1]][0] == b"disabled" if flags else own.disabled
    weight = _number(words[weights[-1]][0], own.weight) if weights else own.weight
    return _Defaults(disabled, weight)


def _options(
    words: tuple[tuple[bytes, int, int], ...], start: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    flags, weights = [], []
    at = start
    while at < len(words):
        word = words[at][0]
        if word in (b"disabled", b"enabled"):
            flags.append(at)
        elif word in _ONE_ARGUMENT:
            at += 1
            if word == b"weight" and at < len(words):
                weights.append(at)
        at += 1
    return tuple(flags), tuple(weights)


def _statements(text: bytes) -> Iterator[tuple[tuple[bytes, int, int], ...]]:
    """The words of each line with their places; comments are none."""
    start = 0
    for raw in re.split(rb"(?<=\n)", text):
        words = []
        at = 0
        while at < len(raw):
            if raw[at : at + 1].isspace():
                at += 1
                continue
            found = _WORD.match(raw, at)
            if found is None:  # a comment, or a quote that is never closed
                break
            words.append((_plain(found[0]), start + at, start + found.end()))
            at = found.end()
        if words:
            yield tuple(words)
        start += len(raw)


def _plain(word: bytes) -> bytes:
    return _UNQUOTE.sub(
        lambda m: next((part for part in m.groups() if part is not None), b""), word
    )


def _index(words: tuple[tuple[bytes, int, int], ...], wanted: bytes) -> int:
    return next((at for at, word in enumerate(words[:-1]) if at and word[0] == wanted), 0)


def _text(words: tuple[tuple[bytes, int, int], ...], at: int) -> str:
    return words[at][0].decode("utf-8", "surrogateescape") if at < len(words) else ""


def _number(word: bytes, default: int) -> int:
    return int(word) if word.isdigit() else default
