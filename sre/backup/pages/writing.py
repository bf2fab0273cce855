"""How does a large file reach the disk without passing through the system's page cache?

Nobody reads a restored file before all of it is there: pages of it in the cache cost a copy, push
out what running programs need, and are written at the end in any case. So whole blocks go straight
to the disk (O_DIRECT of open(2)), where the file system can do that, else through the cache. A
thread writes while the next bytes are being expanded.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import queue
from dataclasses import dataclass
from typing import Protocol

from sre.backup.threads import start

__all__ = ["Disk", "Writing"]

_SLABS, _SLAB = 4, 2**22
_ALIGNED = 4096
_LARGE = 2**18
"""Bytes; smaller files are not worth it."""


class Writing(Protocol):
    """A new file. Raises OSError: the disk is full, or broken, at this file or an earlier one."""

    def feed(self, data: memoryview) -> None:
        """The next piece, of any size. It is not kept."""
        ...

    def close(self) -> None:
        """All of it has come; it may still be on its way."""
        ...


class Disk:
    """New files, one at a time; all of them are there when `settle` has returned."""

    def __init__(self) -> None:
        self._free: queue.SimpleQueue[memoryview] = queue.SimpleQueue()
        self._orders: queue.SimpleQueue[_Order] = queue.SimpleQueue()
        self._error: OSError | None = None
        self._begun = False

    def create(self, descriptor: int, size: int) -> Writing:
        """A file, open for writing, that will have `size` bytes."""
        return _Large(descriptor, self) if size >= _LARGE else _Small(descriptor)

    def slab(self) -> memoryview:
        """Aligned memory to fill, as soon as there is some. Raises OSError as `Writing`."""
        if not self._begun:
            self._begun = True
            for _ in range(_SLABS):
                self._free.put(memoryview(mmap.mmap(-1, _SLAB)))
            start(self._run, "disk")
        found = self._free.get()
        if self._error is not None:
            raise self._error
        return found

    def order(self, order: _Order) -> None:
        """Have it written after everything that was ordered before."""
        self._orders.put(order)

    def settle(self) -> None:
        """Wait for everything that was ordered. Raises OSError as `Writing` does."""
        if self._begun:
            for each in [self._free.get() for _ in range(_SLABS)]:
                self._free.put(each)
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while True:
            order = self._orders.get()
            try:
                if self._error is None:
                    order.file.write(order.slab[: order.count])
                if order.last:
                    os.close(order.file.descriptor)
            except OSError as error:
                self._error = error
            self._free.put(order.slab)


@dataclass(frozen=True)
class _Order:
    """So much of a slab, at the end of a file; after the last one the file is closed."""

    file: _Large
    slab: memoryview
    count: int
    last: bool


class _Small:
    """Written as it comes."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def feed(self, data: memoryview) -> None:
        _write(self._descriptor, data)

    def close(self) -> None:
        os.close(self._descriptor)


class _Large:
    """Gathered in slabs; `write` is called by the disk's thread, the rest by the other one."""

    def __init__(self, descriptor: int, disk: Disk) -> None:
        self.descriptor = descriptor
        self._disk = disk
        self._slab: memoryview | None = None
        self._held = 0
        self._direct = _switch(descriptor, direct=True)

    def feed(self, data: memoryview) -> None:
        while data:
            if self._slab is None:
                self._slab, self._held = self._disk.slab(), 0
            took = min(_SLAB - self._held, len(data))
            self._slab[self._held : self._held + took] = data[:took]
            self._held, data = self._held + took, data[took:]
            if self._held == _SLAB:
                self._order(last=False)

    def close(self) -> None:
        self._order(last=True)

    def _order(self, *, last: bool) -> None:
        if self._slab is None:
            self._slab, self._held = self._disk.slab(), 0
        self._disk.order(_Order(self, self._slab, self._held, last))
        self._slab = None

    def write(self, data: memoryview) -> None:
        """Whole blocks past the cache; a part of one, which only the end has, through it."""
        whole = len(data) - len(data) % _ALIGNED
        if self._direct and whole:
            try:
                data = data[os.write(self.descriptor, data[:whole]) :]
            except OSError as error:
                if error.errno != errno.EINVAL:  # this file system cannot do it after all
                    raise
        if data:  # also when the disk took less than all: it is nearly full, or says why
            self._direct = self._direct and not _switch(self.descriptor, direct=False)
            _write(self.descriptor, data)


def _write(descriptor: int, data: memoryview) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _switch(descriptor: int, *, direct: bool) -> bool:
    """Turn O_DIRECT on or off; whether it could be done."""
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL) & ~os.O_DIRECT
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | (os.O_DIRECT if direct else 0))
    except OSError:
        return False
    return True
