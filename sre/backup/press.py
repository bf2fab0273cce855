"""How are chunks compressed by several threads at once and yet written in order?

    reader ─► free buffers ─► compressing threads ─► queue ─► one thread: age, frames

zstd, age's cipher and the pipe all let go of the interpreter. Memory is bounded: there are so many
buffers, and the queue is short. Each chunk is a zstd frame of its own; frames after one another
are one zstd stream (RFC 8878), and chunks of this size stay in the processor's cache.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import IO, Any

from sre.backup.age.stream import Sealer
from sre.backup.frames import DATA, END, LAST, SIDE, write_frame, write_record
from sre.backup.squeeze import Squeeze
from sre.backup.threads import start

__all__ = ["CHUNK", "Press"]

CHUNK = 2**20
"""Bytes of plaintext in one zstd frame."""

_BUFFERS = 12
_QUEUED = 16
_MOST_THREADS = 4


class Press:
    """Objects on their way out. Used by one thread, which fills the buffers.

    Whatever fails in another thread ends the process at once: nothing it wrote then counts.

    Attributes:
        free: buffers of CHUNK bytes; take one, fill it, `add` it.
    """

    def __init__(self, out: IO[bytes], level: int) -> None:
        self._out, self._level = out, level
        self._pool = ThreadPoolExecutor(_threads(), thread_name_prefix="zstd")
        self._local = threading.local()
        self._queue: queue.Queue[Callable[[], None] | None] = queue.Queue(_QUEUED)
        self._sealer: Sealer | None = None
        self._gathered = bytearray()
        self.free: queue.SimpleQueue[bytearray] = queue.SimpleQueue()
        for _ in range(_BUFFERS):
            self.free.put(bytearray(CHUNK))
        self._writer = start(self._run, "write")

    def begin(self, recipient: str) -> None:
        """The next object, encrypted to an age public key."""
        self._queue.put(partial(self._begin, recipient))

    def add(self, buffer: bytearray, count: int) -> None:
        """The first `count` bytes of a buffer, which becomes free again by itself."""
        self._queue.put(partial(self._write, self._pool.submit(self._squeeze, buffer, count)))

    def end(self, record: dict[str, Any]) -> None:
        """The object is complete."""
        self._queue.put(partial(self._end, record))

    def side(self) -> None:
        """The object that follows is the sidecar."""
        self._queue.put(partial(write_record, self._out, SIDE, {}))

    def last(self, record: dict[str, Any]) -> None:
        """All is complete; returns once it is written."""
        self._queue.put(partial(write_record, self._out, LAST, record))
        self._queue.put(None)
        self._writer.join()
        self._pool.shutdown()

    def _squeeze(self, buffer: bytearray, count: int) -> bytes:
        if not hasattr(self._local, "squeeze"):
            self._local.squeeze = Squeeze(self._level, CHUNK)
        with memoryview(buffer) as view:
            found: bytes = self._local.squeeze.compress(view[:count])
        self.free.put(buffer)
        return found

    def _run(self) -> None:
        while (step := self._queue.get()) is not None:
            step()

    def _begin(self, recipient: str) -> None:
        self._sealer = Sealer(recipient)

    def _write(self, squeezed: Future[bytes]) -> None:
        assert self._sealer is not None  # noqa: S101  begun
        self._gathered += self._sealer.update(squeezed.result())
        if len(self._gathered) >= CHUNK:
            self._flush()

    def _end(self, record: dict[str, Any]) -> None:
        assert self._sealer is not None  # noqa: S101  begun
        self._gathered += self._sealer.finish()
        self._flush()
        write_record(self._out, END, record)

    def _flush(self) -> None:
        write_frame(self._out, DATA, self._gathered)
        self._gathered.clear()


def _threads() -> int:
    return min(_MOST_THREADS, len(os.sched_getaffinity(0)))
