"""How does an empty folder become that of a full backup, or a folder that of the next backup?

    tar │ the folder of the backup before, or an empty one ─► changed in place

What is whole in the tar replaces what stands there, lists of changed pages are written into their
files, and what the tar does not name goes. Every name is followed from the folder's own descriptor
and through no link, whatever an earlier tar has put there. The folder counts only when all of it
went well: the caller throws it away otherwise.
"""

from __future__ import annotations

import os

from sre.backup.pages.combined import Seen
from sre.backup.pages.delta import Head, is_delta_name, whole_name
from sre.backup.pages.map import PAGE
from sre.backup.pages.tarstream import Event, Member, Splitter
from sre.backup.pages.tree import Tree
from sre.backup.pages.writing import Disk, Writing
from sre.core.errors import IntegrityError

__all__ = ["Applying"]


class Applying:
    """One tar, fed by `put` and ended by `end`; then, or instead, `close`.

    `native`: the server made the lists of changed pages and names them `INCREMENTAL.…`; ours are
    marked.

    Raises:
        IntegrityError: from each of its methods: the tar is none, was cut, names something outside
            the folder, or builds on a file that is not there.
        OSError: the disk is full.
    """

    def __init__(self, folder: str, *, native: bool) -> None:
        self._splitter, self._seen = Splitter(), Seen()
        self._folder, self._native = folder, native
        self._tree = Tree(folder)
        self._work = _Work(self._tree, self._seen, native=native)

    def put(self, view: memoryview) -> None:
        """The next piece of the tar. It is not kept."""
        for event in self._splitter.feed(view):
            self._work.take(event)

    def end(self) -> Seen:
        """The tar has ended; what came as lists of changed pages."""
        if not self._splitter.whole:
            raise IntegrityError("the tar was cut")
        self._work.disk.settle()
        self._tree.remove_others()
        if self._native:
            self._seen.combine(self._folder)
        self._tree.set_modes()
        return self._seen

    def close(self) -> None:
        """Let go of the folder."""
        self._tree.close()


class _Work:
    """One member after the other."""

    def __init__(self, tree: Tree, seen: Seen, *, native: bool) -> None:
        self._tree, self._seen, self._native = tree, seen, native
        self.disk = Disk()
        self._file: Writing | _Patch | None = None

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

    def _begin(self, member: Member) -> Writing | _Patch | None:
        if member.kind == "5":
            self._tree.folder(member.name.rstrip("/"), member.mode)
            return None
        if member.kind != "0":
            raise IntegrityError(f"{member.name!r} is neither a file nor a folder")
        if is_delta_name(member.name) if self._native else member.delta:
            path = whole_name(member.name)
            return _Patch(self._tree.change(path), path, member, self._seen)
        return self.disk.create(self._tree.create(member.name, member.mode), member.size)


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
