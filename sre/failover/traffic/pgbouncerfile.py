"""Where does an entry of PgBouncer's `[databases]` point, and how is that changed alone? (pure)"""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["entries", "pointed", "target"]

_SECTION = re.compile(rb"[ \t]*\[([^\]\r\n]*)\]")
_ENTRY = re.compile(rb'[ \t]*("(?:[^"\r\n]|"")*"|[^\s=;#"\[%][^\s="]*)[ \t]*=[ \t]*([^\r\n]*)')
_PAIR = re.compile(rb"([A-Za-z_]+)[ \t]*=[ \t]*('(?:[^']|'')*'|[^\s']*)")


def entries(text: bytes) -> tuple[str, ...]:
    """The names under `[databases]`."""
    return tuple(dict.fromkeys(name for name, _, _ in _found(text)))


def target(text: bytes, database: str) -> tuple[str, int] | None:
    """The host (empty: a socket on the machine) and port that its last entry says."""
    said = [text[start:end] for name, start, end in _found(text) if name == database]
    if not said:
        return None
    values = {pair[1].lower(): _plain(pair[2]) for pair in _PAIR.finditer(said[-1])}
    port = values.get(b"port", b"").decode() or "5432"
    return values.get(b"host", b"").decode("utf-8", "replace"), int(port) if port.isdigit() else 0


def pointed(text: bytes, database: str, host: str, port: int) -> bytes:
    """The file with the entry at another server; every other byte stays.

    Raises:
        KeyError: there is no such entry.
    """
    places = [(start, end) for name, start, end in _found(text) if name == database]
    if not places:
        raise KeyError(database)
    for start, end in reversed(places):
        entry = text[start:end]
        for key, value in ((b"port", str(port).encode()), (b"host", host.encode())):
            entry = _with(entry, key, value)
        text = text[:start] + entry + text[end:]
    return text


def _with(entry: bytes, key: bytes, value: bytes) -> bytes:
    for pair in _PAIR.finditer(entry):
        if pair[1].lower() == key:
            return entry[: pair.start(2)] + value + entry[pair.end(2) :]
    return key + b"=" + value + (b" " + entry if entry else b"")


def _found(text: bytes) -> Iterator[tuple[str, int, int]]:
    """The name of each entry and where its connection string stands."""
    inside, at = False, 0
    for line in re.split(rb"(?<=\n)", text):
        if section := _SECTION.match(line):
            inside = section[1].strip().lower() == b"databases"
        elif inside and (entry := _ENTRY.match(line)):
            name = entry[1]
            if name.startswith(b'"'):
                name = name[1:-1].replace(b'""', b'"')
            end = entry.start(2) + len(entry[2].rstrip())
            yield name.decode("utf-8", "replace"), at + entry.start(2), at + end
        at += len(line)


def _plain(value: bytes) -> bytes:
    return value[1:-1].replace(b"''", b"'") if value.startswith(b"'") else value
