"""Who is connected to our HTTP server, and who must go so that another one is heard?

A client is waited for until its request is there, all of it, head and body. Whoever takes too long
is cut, however busily it sends; and when there are too many, whoever has been waited for longest.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable

__all__ = ["Caller", "Callers"]


class Caller:
    """One connection.

    Attributes:
        since: since when its next request is waited for; None while one is being answered.
    """

    __slots__ = ("_connection", "_now", "since")

    def __init__(self, connection: socket.socket, now: Callable[[], float]) -> None:
        self._connection = connection
        self._now = now
        self.since: float | None = now()

    def moved(self, connection: socket.socket) -> None:
        """Another object is the connection from now on: TLS lies around it."""
        self._connection = connection

    def asks(self) -> None:
        """Its request is there."""
        self.since = None

    def waits(self) -> None:
        """It has its answer."""
        self.since = self._now()

    def cut(self) -> None:
        """Whoever reads from it or writes to it is told that it has ended."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._connection, socket.SHUT_RDWR)  # not TLS's own farewell


class Callers:
    """All connections of a server, `most` of them. Thread-safe.

    Args:
        patience: seconds in which a request must be there.
    """

    def __init__(
        self, most: int, patience: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._most, self._patience, self._now = most, patience, now
        self._lock = threading.Lock()
        self._all: dict[int, Caller] = {}
        self._swept = now()

    def enter(self, connection: socket.socket) -> bool:
        """Whether there is room for one more, made if it must be."""
        with self._lock:
            if len(self._all) >= self._most and not self._make_room():
                return False
            self._all[id(connection)] = Caller(connection, self._now)
            return True

    def of(self, connection: socket.socket) -> Caller:
        """Who entered with this connection."""
        with self._lock:
            return self._all.get(id(connection)) or Caller(connection, self._now)

    def leave(self, connection: socket.socket) -> None:
        """Who entered with it has gone."""
        with self._lock:
            self._all.pop(id(connection), None)

    def sweep(self) -> None:
        """Cut whoever takes too long for a request; to be called often, does it once a second."""
        now = self._now()
        if now - self._swept < 1:
            return
        self._swept = now
        with self._lock:
            for caller in self._all.values():
                if caller.since is not None and caller.since < now - self._patience:
                    caller.cut()

    def _make_room(self) -> bool:
        waiting = {key: one.since for key, one in self._all.items() if one.since is not None}
        if not waiting:
            return False
        self._all.pop(min(waiting, key=lambda key: waiting[key])).cut()
        return True
