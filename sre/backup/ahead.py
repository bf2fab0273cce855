"""How is the next piece of a download fetched while the one before is being worked on?"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator

__all__ = ["ahead"]

_QUEUED = 16


def ahead(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same pieces, taken by a thread a little before they are asked for.

    What the iterator raises is raised here. A caller that stops early stops the thread too.
    """
    fetcher = _Fetcher(pieces)
    threading.Thread(target=fetcher.run, name="download", daemon=True).start()
    try:
        while (piece := fetcher.queue.get()) is not None:
            if isinstance(piece, BaseException):
                raise piece
            yield piece
    finally:
        fetcher.stopped.set()


class _Fetcher:
    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self.queue: queue.Queue[bytes | BaseException | None] = queue.Queue(_QUEUED)
        self.stopped = threading.Event()

    def run(self) -> None:
        try:
            for piece in self._pieces:
                if not self._give(piece):
                    return
        except BaseException as error:  # noqa: BLE001  raised again where it is waited for
            self._give(error)
        else:
            self._give(None)

    def _give(self, piece: bytes | BaseException | None) -> bool:
        """False once nobody takes anything any more."""
        while not self.stopped.is_set():
            with contextlib.suppress(queue.Full):
                self.queue.put(piece, timeout=0.2)
                return True
        return False
