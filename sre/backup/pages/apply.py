"""How does a folder become what it was at the next backup? (the program of a child process)

    tar ─► stdin │ the folder of the backup before ─► changed in place

What is whole in the tar replaces what stands there, lists of changed pages are written into their
files, and what the tar does not name goes. Every name is followed from the folder's own descriptor
and through no link, whatever an earlier tar has put there. The folder counts only when this ends
with 0: the caller throws it away otherwise.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from sre.backup.pages.combined import Seen
from sre.backup.pages.delta import Head, is_delta_name, whole_name
from sre.backup.pages.map import PAGE
from sre.backup.pages.tarstream import Event, Member, Splitter
from sre.backup.pages.tree import Tree
from sre.core.errors import IntegrityError

__all__ = ["apply", "main"]

_PIECE = 2**20


def apply(pieces: Iterator[bytes], folder: str, *, native: bool) -> Seen:
    """Change a folder in place; what came as lists of changed pages.

    `native`: the server made the lists and names them `INCREMENTAL.…`; ours are marked.

    Raises:
        IntegrityError: the tar is none, was cut, names something outside the folder, or builds on
            a file that is not there.
        OSError: the disk is full.
    """
    splitter, seen = Splitter(), Seen()
    with Tree(folder) as tree:
        work = _Work(tree, seen, native=native)
        for piece in pieces:
            for event in splitter.feed(piece):
                work.take(event)
        if not splitter.whole:
            raise IntegrityError("the tar was cut")
        tree.remove_others()
    return seen


class _Work:
    """One member after the other."""

    def __init__(self, tree: Tree, seen: Seen, *, native: bool) -> None:
        self._tree, self._seen, self._native = tree, seen, native
        self._file: _Whole | _Patch | None = None

    def take(self, event: Event) -> None:
        """The next event of the tar."""
        if event.member is not None:
            self._file = self._begin(event.member)
        elif self._file is None:
            return
        elif event.data is not None:
            self._file.feed(event.data)
        else:
            self._file.close()
            self._file = None

    def _begin(self, member: Member) -> _Whole | _Patch | None:
        if member.kind == "5":
            self._tree.folder(member.name.rstrip("/"), member.mode)
            return None
        if member.kind != "0":
            raise IntegrityError(f"{member.name!r} is neither a file nor a folder")
        if is_delta_name(member.name) if self._native else member.delta:
            path = whole_name(member.name)
            return _Patch(self._tree.change(path), path, member, self._seen)
        return _Whole(self._tree.create(member.name, member.mode))


class _Whole:
    """A file that replaces what stood there."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def feed(self, data: memoryview) -> None:
        while data:
            data = data[os.write(self._descriptor, data) :]

    def close(self) -> None:
        os.close(self._descriptor)


class _Patch:
    """Changed pages on their way into a file."""

    def __init__(self, descriptor: int, path: str, member: Member, seen: Seen) -> None:
        self._descriptor, self._path = descriptor, path
        self._head, self._carried, self._next = Head(), bytearray(), 0
        self._sums = seen.begin(member.name, path)

    def feed(self, data: memoryview) -> None:
        self._sums.update(data)
        if not self._head.complete:
            rest = self._head.take(data)
            if rest is None:
                return
            self._resize()
            data = rest
        if self._carried:
            took = min(PAGE - len(self._carried), len(data))
            self._carried += data[:took]
            data = data[took:]
            if len(self._carried) < PAGE:
                return
            self._put(memoryview(bytes(self._carried)))
            self._carried.clear()
        whole = len(data) - len(data) % PAGE
        self._put(data[:whole])
        self._carried += data[whole:]

    def _resize(self) -> None:
        """What is beyond the length is cut off first, so that it cannot come back as old pages."""
        blocks = self._head.blocks * PAGE
        if os.fstat(self._descriptor).st_size > blocks:
            os.ftruncate(self._descriptor, blocks)
        os.ftruncate(self._descriptor, self._head.length)

    def close(self) -> None:
        if not self._head.complete or self._carried or self._next != len(self._head.numbers):
            raise IntegrityError(f"the changed pages of {self._path!r} were cut")
        os.close(self._descriptor)

    def _put(self, pages: memoryview) -> None:
        """Whole pages, neighbours in one write."""
        numbers = self._head.numbers
        count = len(pages) // PAGE
        if self._next + count > len(numbers):
            raise IntegrityError(f"{self._path!r} has more changed pages than it says")
        at = 0
        while at < count:
            first, end = numbers[self._next + at], at + 1
            while end < count and numbers[self._next + end] == first + end - at:
                end += 1
            _write_at(self._descriptor, pages[at * PAGE : end * PAGE], first * PAGE)
            at = end
        self._next += count


def _write_at(descriptor: int, data: memoryview, at: int) -> None:
    while data:
        wrote = os.pwrite(descriptor, data, at)
        data, at = data[wrote:], at + wrote


def main(folder: str, *, native: bool) -> None:
    """Apply stdin; one line on stderr when it cannot be."""

    def pieces() -> Iterator[bytes]:
        while piece := os.read(0, _PIECE):
            yield piece

    try:
        seen = apply(pieces(), folder, native=native)
        if native:
            seen.combine(folder)
    except (IntegrityError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1], native="--native" in sys.argv[2:])
