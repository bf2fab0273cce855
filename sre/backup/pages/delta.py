"""How are the changed pages of a file written down, and how do they become the file again?

PostgreSQL's own format of incremental files (since 17): a magic number, how many pages, the length
below which all other pages stay as they were, the pages' numbers, then, from the next multiple of
8 KiB on, the pages. So one reader does for the server's and for ours. Where ours would need much
memory it comes in several pieces, to be applied one after the other.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence

from sre.backup.pages.map import PAGE
from sre.core.errors import IntegrityError

__all__ = ["Head", "delta_name", "encode", "head_size", "is_delta_name", "whole_name"]

_PREFIX = "INCREMENTAL."
_HEAD = struct.Struct("<III")
_MAGIC = 0xD3AE1F0D
_MOST = 1 << 26
"""More pages than any build of the server has in one file (512 GiB)."""


class Head:
    """The head of such a file, taken from a stream.

    Attributes:
        blocks: the file is at least so many pages long, and what is not given below it stays.
        numbers: the pages that follow, in order.
    """

    def __init__(self) -> None:
        self.blocks = 0
        self.numbers: Sequence[int] = ()
        self.complete = False
        self._raw = bytearray()
        self._need = _HEAD.size
        self._count: int | None = None

    def take(self, view: memoryview) -> memoryview | None:
        """Read on; what follows the head, None while it goes on. Raises IntegrityError."""
        while not self.complete and view:
            took = min(self._need - len(self._raw), len(view))
            self._raw += view[:took]
            view = view[took:]
            if len(self._raw) == self._need:
                self._step()
        return view if self.complete else None

    def _step(self) -> None:
        if self._count is None:
            magic, self._count, self.blocks = _HEAD.unpack(self._raw)
            if magic != _MAGIC or self._count > _MOST or self.blocks > _MOST:
                raise IntegrityError("it is no list of changed pages")
            self._need = head_size(self._count)
        if len(self._raw) == self._need:
            end = _HEAD.size + 4 * self._count
            self.numbers = array("I", bytes(self._raw[_HEAD.size : end]))
            self.complete = True
            self._raw.clear()

    @property
    def length(self) -> int:
        """How long the file is afterwards, bytes."""
        return PAGE * max(self.blocks, 1 + max(self.numbers, default=-1))


def head_size(count: int) -> int:
    """Bytes before the first page."""
    size = _HEAD.size + 4 * count
    return size + (-size % PAGE if count else 0)


def encode(blocks: int, numbers: array[int], pages: bytes | bytearray) -> bytes:
    """Such a file: `pages` are those of `numbers`, of a file that is `blocks` pages long."""
    head = _HEAD.pack(_MAGIC, len(numbers), blocks) + numbers.tobytes()
    return b"".join((head.ljust(head_size(len(numbers)), b"\0"), pages))


def delta_name(path: str) -> str:
    """The name of the changed pages of a file."""
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}{_PREFIX}{name}"


def whole_name(path: str) -> str:
    """The file that such a name belongs to."""
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}{name.removeprefix(_PREFIX)}"


def is_delta_name(path: str) -> bool:
    """Whether the server names changed pages so."""
    folder, _, name = path.rpartition("/")
    return name.startswith(_PREFIX) and folder.split("/")[0] in ("base", "global", "pg_tblspc")
