"""Which pages of a running copy are new, and what is stored of it?

Runs where volumes are sealed. Of a full backup everything is stored, and a map of its pages on the
side. Of one that builds on another, each file of pages that was there before becomes a list of its
changed pages; everything else is stored whole. Memory does not grow with the files.
"""

from __future__ import annotations

import mmap
import re
import tempfile
from array import array
from collections.abc import Iterator
from typing import IO, Any

from sre.backup.pages import delta
from sre.backup.pages.hashing import HASH, PAGE, new_key, pages_of
from sre.backup.pages.map import Sidecar, begin, changes, complete, finish
from sre.backup.pages.tarstream import BLOCK, Event, Member, Splitter, delta_header, padding
from sre.backup.tartail import TarTail

__all__ = ["PagesTap", "is_paged", "make"]

_PAGED = re.compile(
    r"(?:base/\d+|global|pg_tblspc/\d+/PG_[^/]+/\d+)/(?:t\d+_)?\d+(?:_[a-z]+)?(?:\.\d+)?"
    r"|(?:pg_xact|pg_commit_ts|pg_multixact/(?:offsets|members))/[0-9A-F]+"
)
_SERVERS = "backup_manifest"
_GATHERED = 2**20
_HELD = 16 * 2**20
"""Changed pages of one file that are held before they are written down."""
_COPY = 2**20
_WIDER = PAGE // HASH


def is_paged(member: Member) -> bool:
    """Whether a file is looked at page by page."""
    return (
        member.kind == "0"
        and member.size > 0
        and member.size % PAGE == 0
        and _PAGED.fullmatch(member.name) is not None
    )


def make(mark: str, options: dict[str, Any], descriptors: dict[str, int]) -> PagesTap:
    """With a descriptor `map` (of a whole map), what has changed since; else a full one.

    Option `server`: keep the server's own manifest in the sidecar. Option `native`: the server has
    left out what did not change since the parent; it passes, and the map tells of it.
    """
    parent = None
    if "map" in descriptors:
        held = mmap.mmap(descriptors["map"], 0, access=mmap.ACCESS_READ)
        parent = Sidecar.parse(memoryview(held))
    server, native = bool(options.get("server")), bool(options.get("native"))
    if parent is None or native:
        return PassingTap(mark, parent, keep_server=server, native=native)
    return PagesTap(mark, parent, keep_server=server)


class PagesTap:
    """A tap as `tap.Tap` says. Raises IntegrityError where the tar is none."""

    def __init__(
        self, mark: str, parent: Sidecar | None, *, keep_server: bool = False, native: bool = False
    ) -> None:
        self._tail = TarTail(mark)
        self._splitter = Splitter()
        self._key = new_key() if parent is None else parent.key
        self._parent = None if native else parent
        self._native = native
        self._keep_server = keep_server
        self._server = bytearray()
        self._map: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  as long as we are
        self._map.write(begin(self._key))
        self._out = bytearray()
        self._member: Member | None = None
        self._file: _Hashing | _Comparing | _Listed | None = None
        self.spared = 0
        self.pages = 0
        self.changed = 0

    @property
    def marked(self) -> bool:
        """As Tap's."""
        return self._tail.marked

    def feed(self, piece: bytes | memoryview) -> Iterator[bytes | memoryview]:
        """As Tap's."""
        self._tail.feed(piece)
        for event in self._splitter.feed(piece):
            self._take(event)
            if len(self._out) >= _GATHERED:
                yield self._gathered()
        if self._parent is None:
            yield piece
        elif self._out:
            yield self._gathered()

    def end(self) -> Iterator[bytes]:
        """As Tap's."""
        if self._parent is not None and self._splitter.ended:
            yield bytes(2 * BLOCK)

    def report(self) -> dict[str, Any]:
        """As Tap's, and `pages`, `changed`: how many there are, and how many are stored.

        `spared`: bytes that a restore writes and that the tar of the server did not hold.
        """
        tail = self._tail
        return {
            "members": tail.members,
            "last_member": tail.last_member,
            "whole": tail.whole and self._splitter.whole,
            "tail": tail.tail.decode("utf-8", "replace"),
            "pages": self.pages,
            "changed": self.changed,
            "spared": self.spared,
        }

    def sidecar(self) -> Iterator[bytes]:
        """As Tap's."""
        with self._map as file:
            file.write(finish(self._server))
            file.seek(0)
            while piece := file.read(_COPY):
                yield piece

    def _gathered(self) -> bytes:
        out = bytes(self._out)
        self._out.clear()
        return out

    def _take(self, event: Event) -> None:
        if event.member is not None:
            self._begin(event.member)
        elif event.data is not None:
            self._pass(event.data)
        else:
            self._close()

    def _begin(self, member: Member) -> None:
        self._member, self._file = member, None
        if self._native and delta.is_delta_name(member.name):
            self._file = _Listed(self._key)
        elif is_paged(member):
            before = self._parent.entries.get(member.name) if self._parent is not None else None
            if before is None or not before.blocks:
                self._file = _Hashing(self._key)
            else:
                self._file = _Comparing(self._key, memoryview(before.hashes))
        if self._parent is not None and not isinstance(self._file, _Comparing):
            self._out += member.header

    def _pass(self, data: memoryview) -> None:
        file, member = self._file, self._member
        assert member is not None  # noqa: S101  content comes after its header
        if file is not None:
            file.feed(data)
        if isinstance(file, _Comparing):
            if len(file.held) >= _HELD:
                self._write(member, file)
            return
        if self._parent is not None:
            self._out += data
        if self._keep_server and member.name == _SERVERS:
            self._server += data

    def _close(self) -> None:
        file, member = self._file, self._member
        assert member is not None  # noqa: S101  as above
        blocks = member.size // PAGE
        if isinstance(file, _Comparing):
            if file.fresh or not file.written:
                self._write(member, file)
            self._map.write(changes(member.name, blocks, file.numbers, file.hashes))
            self.pages, self.changed = self.pages + blocks, self.changed + len(file.numbers)
            return
        if self._parent is not None:
            self._out += padding(member.size)
        if isinstance(file, _Listed):
            path = delta.whole_name(member.name)
            blocks, numbers = file.head.length // PAGE, array("I", file.head.numbers)
            self._map.write(changes(path, blocks, numbers, file.hashes))
            self.pages, self.changed = self.pages + blocks, self.changed + len(numbers)
            self.spared += max(0, file.head.length - member.size)
        elif file is not None:
            self._map.write(complete(member.name, file.hashes))
            self.pages, self.changed = self.pages + blocks, self.changed + blocks

    def _write(self, member: Member, file: _Comparing) -> None:
        """The pages that are held, as one more list of this file."""
        content = delta.encode(member.size // PAGE, file.fresh, file.held)
        self._out += delta_header(member, delta.delta_name(member.name), len(content))
        self._out += content
        self._out += padding(len(content))
        file.forget()


class PassingTap(PagesTap):
    """One that lets everything through: the bytes need not be copied for it."""

    def look(self, view: memoryview) -> None:
        """As `tap.Looking` says."""
        self._tail.feed(view)
        for event in self._splitter.feed(view):
            self._take(event)


class _Pages:
    """Whole pages of a file that comes in pieces of any size."""

    def __init__(self, key: bytes) -> None:
        self._hashed = pages_of(key)
        self._carried = bytearray()
        self.hashes = bytearray()

    def feed(self, data: memoryview) -> None:
        """The next piece."""
        carried = self._carried
        if carried:
            took = min(PAGE - len(carried), len(data))
            carried += data[:took]
            data = data[took:]
            if len(carried) < PAGE:
                return
            self._look(memoryview(bytes(carried)))
            carried.clear()
        whole = len(data) - len(data) % PAGE
        self._look(data[:whole])
        carried += data[whole:]

    def _look(self, pages: memoryview) -> None:
        raise NotImplementedError


class _Hashing(_Pages):
    """A file that was not there before, or a full backup's."""

    def _look(self, pages: memoryview) -> None:
        self.hashes += self._hashed(pages)


class _Listed(_Hashing):
    """Changed pages that the server has listed itself."""

    def __init__(self, key: bytes) -> None:
        super().__init__(key)
        self.head = delta.Head()

    def feed(self, data: memoryview) -> None:
        rest = data if self.head.complete else self.head.take(data)
        if rest is not None:
            super().feed(rest)


class _Comparing(_Pages):
    """A file of which the hashes were known.

    Attributes:
        numbers, hashes: of all changed pages, for the next map.
        fresh, held: the numbers and contents of those that are not written down yet.
    """

    def __init__(self, key: bytes, before: memoryview) -> None:
        super().__init__(key)
        self._before = before
        self._at = 0
        self.numbers, self.fresh = array("I"), array("I")
        self.held = bytearray()
        self.written = False

    def _look(self, pages: memoryview) -> None:
        found, first = self._hashed(pages), self._at
        self._at += len(pages) // PAGE
        before = bytes(self._before[first * HASH : self._at * HASH])
        if before == found:
            return
        for at in range(0, len(found), HASH):
            if before[at : at + HASH] != found[at : at + HASH]:
                number = first + at // HASH
                self.numbers.append(number)
                self.fresh.append(number)
                self.hashes += found[at : at + HASH]
                self.held += pages[at * _WIDER : at * _WIDER + PAGE]

    def forget(self) -> None:
        """What was held is written down."""
        self.written = True
        self.fresh = array("I")
        self.held.clear()
