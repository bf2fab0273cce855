"""How are the next pieces of downloads fetched while those before are being worked on?"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator

__all__ = ["Ahead", "ahead"]

_QUEUED = 8
_DEPTH = 3

Download = Callable[[], Iterator[bytes]]


def ahead(download: Download) -> Iterator[bytes]:
    """The pieces of one download, taken by a thread a little before they are asked for.

    What the download raises is raised here. A caller that stops early stops the thread too.
    """
    return _Fetcher(download).pieces()


class Ahead:
    """Downloads in order, the next ones begun already; a context manager that ends them all."""

    def __init__(self, downloads: Iterable[Download]) -> None:
        self._waiting = iter(downloads)
        self._begun: deque[_Fetcher] = deque()

    def __enter__(self) -> Ahead:
        return self

    def __exit__(self, *_: object) -> None:
        for fetcher in self._begun:
            fetcher.stopped.set()

    def next(self) -> Iterator[bytes]:
        """The pieces of the next download, as `ahead` gives them. Raises IndexError at the end."""
        for download in self._waiting:
            self._begun.append(_Fetcher(download))
            if len(self._begun) >= _DEPTH:
                break
        return self._begun.popleft().pieces()


class _Fetcher:
    """One download in a thread of its own, begun at once."""

    def __init__(self, download: Download) -> None:
        self._download = download
        self.queue: queue.Queue[bytes | BaseException | None] = queue.Queue(_QUEUED)
        self.stopped = threading.Event()
        threading.Thread(target=self._run, name="download", daemon=True).start()

    def pieces(self) -> Iterator[bytes]:
        """What comes; raises what the download raised."""
        try:
            while (piece := self.queue.get()) is not None:
                if isinstance(piece, BaseException):
                    raise piece
                yield piece
        finally:
            self.stopped.set()

    def _run(self) -> None:
        try:
            for piece in self._download():
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
