"""What was in each page of a backup, in eight bytes a page?

A keyed hash of the page, cut to eight bytes (see `hashing`). Equal pages have equal hashes; that
two different ones at the same place have too happens less than once in 2^54, and nobody who may
fill tables can steer it, for the key is random and travels only encrypted. Nothing of a page's
content is judged: torn pages, hint bits, free-space maps and unlogged tables are bytes like others,
and what a map calls equal is equal.

A sidecar is a map on its way: all of it (of a full backup), or what changed (of one that builds on
another), and perhaps the server's own `backup_manifest`.
"""

from __future__ import annotations

import json
import struct
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sre.backup.pages.hashing import HASH, PAGE, hash_name
from sre.core.errors import IntegrityError

__all__ = [
    "HASH",
    "PAGE",
    "Entry",
    "Sidecar",
    "begin",
    "changes",
    "complete",
    "encode",
    "finish",
    "merge",
]

_MAGIC = b"SREPAGE1"
_LENGTH = struct.Struct("<I")
_ENTRY = struct.Struct("<HII")
_ALL = 0xFFFFFFFF


@dataclass(frozen=True)
class Entry:
    """One file.

    Attributes:
        blocks: its pages.
        numbers: the pages of which `hashes` are given; None for all of them.
    """

    path: str
    blocks: int
    numbers: Sequence[int] | None
    hashes: bytes | memoryview


@dataclass(frozen=True)
class Sidecar:
    """A sidecar that was read.

    Attributes:
        key: of the hashes, and which they are; a chain of backups has one.
        server: the server's own manifest; empty when it was not kept.
    """

    key: bytes
    entries: Mapping[str, Entry]
    server: bytes

    @staticmethod
    def parse(data: bytes | memoryview) -> Sidecar:
        """What `begin`, `complete` or `changes`, and `finish` made. Raises IntegrityError."""
        view = memoryview(data)
        try:
            if bytes(view[: len(_MAGIC)]) != _MAGIC:
                raise IntegrityError("it is not a map of pages of this version of sre")
            at = len(_MAGIC)
            (length,) = _LENGTH.unpack_from(view, at)
            at += _LENGTH.size
            head = json.loads(bytes(view[at : at + length]))
            key = bytes.fromhex(head["key"])
            if head["page"] != PAGE or not head["hash"] or head["hash"] != hash_name(key):
                raise IntegrityError("its pages or hashes are of another kind")
            entries, at = _entries(view, at + length)
        except (struct.error, ValueError, KeyError, TypeError) as error:
            raise IntegrityError(f"it is not a map of pages: {error}") from error
        return Sidecar(key, entries, bytes(view[at:]))


def begin(key: bytes) -> bytes:
    """The head of a sidecar."""
    head = json.dumps({"page": PAGE, "hash": hash_name(key), "key": key.hex()}).encode()
    return _MAGIC + _LENGTH.pack(len(head)) + head


def complete(path: str, hashes: bytes | bytearray) -> bytes:
    """A file of which every page's hash is given."""
    name = path.encode("utf-8", "surrogateescape")
    return b"".join((_ENTRY.pack(len(name), len(hashes) // HASH, _ALL), name, hashes))


def changes(path: str, blocks: int, numbers: array[int], hashes: bytes | bytearray) -> bytes:
    """A file of which some pages are given; the others are as they were."""
    name = path.encode("utf-8", "surrogateescape")
    head = _ENTRY.pack(len(name), blocks, len(numbers))
    return b"".join((head, name, numbers.tobytes(), hashes))


def finish(server: bytes | bytearray = b"") -> bytes:
    """The end of a sidecar."""
    return _ENTRY.pack(0, 0, 0) + bytes(server)


def merge(sidecars: Sequence[Sidecar]) -> dict[str, bytes]:
    """The hashes of all pages, by path, after a chain of backups; the full one's first.

    Raises:
        IntegrityError: they do not belong together.
    """
    pages: dict[str, bytes] = {}
    for each in sidecars:
        if each.key != sidecars[0].key:
            raise IntegrityError("its map has another key than the backup that it builds on")
        pages = {path: _applied(pages.get(path), entry) for path, entry in each.entries.items()}
    return pages


def _applied(before: bytes | None, entry: Entry) -> bytes:
    if entry.numbers is None:
        return bytes(entry.hashes)
    if before is None:
        raise IntegrityError(f"its map changes {entry.path!r}, which was not there before")
    size = entry.blocks * HASH
    found, new = bytearray(before[:size].ljust(size, b"\0")), memoryview(entry.hashes)
    for at, number in enumerate(entry.numbers):
        if number >= entry.blocks:
            raise IntegrityError(f"its map names page {number} of {entry.path!r}, after its end")
        found[number * HASH : number * HASH + HASH] = new[at * HASH : at * HASH + HASH]
    return bytes(found)


def _entries(view: memoryview, at: int) -> tuple[dict[str, Entry], int]:
    found = dict[str, Entry]()
    while True:
        length, blocks, given = _ENTRY.unpack_from(view, at)
        at += _ENTRY.size
        if not length:
            return found, at
        path, at = _take(view, at, length)
        numbers: array[int] | None = None
        if given != _ALL:
            raw, at = _take(view, at, given * 4)
            numbers = array("I", bytes(raw))
        hashes, at = _take(view, at, (blocks if given == _ALL else given) * HASH)
        name = bytes(path).decode("utf-8", "surrogateescape")
        found[name] = Entry(name, blocks, numbers, hashes)


def _take(view: memoryview, at: int, count: int) -> tuple[memoryview, int]:
    if at + count > len(view):
        raise IntegrityError("it is not a map of pages: it was cut")
    return view[at : at + count], at + count


def encode(key: bytes, pages: Mapping[str, bytes]) -> Iterator[bytes]:
    """A whole map as a sidecar."""
    yield begin(key)
    for path, hashes in pages.items():
        yield complete(path, hashes)
    yield finish()
