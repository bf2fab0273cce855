"""Does a client survive an HTTP server that does everything wrong? This is that server.

The pages are in hostile_pages.py and hostile_bodies.py; what it saw is in `.requests`.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.servers.hostile_bodies import BODIES
from tests.servers.hostile_exchange import Exchange, Gone, Seen, read_request
from tests.servers.hostile_pages import PAGES, not_found, status

__all__ = ["Hostile", "hostile", "hostile_other"]

ROUTES = {**PAGES, **BODIES}


class Hostile:
    """A threaded HTTP/1.1 server, one thread for each connection, on 127.0.0.1."""

    def __init__(self, name: str = "hostile") -> None:
        self.name = name
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._listener.settimeout(0.05)
        self.port = int(self._listener.getsockname()[1])
        self.origin = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.origin}"
        self.stop = threading.Event()
        self._lock = threading.Lock()
        self._open: dict[int, socket.socket] = {}
        self._connections = 0
        self._requests: list[Seen] = []
        self._polls: dict[str, int] = {}
        self._numbers = itertools.count(1)
        self._frozen_until = 0.0
        self._acceptor = threading.Thread(target=self._accept, name=name, daemon=True)
        self._acceptor.start()

    @property
    def connections(self) -> int:
        """TCP connections accepted since the last reset_counts()."""
        with self._lock:
            return self._connections

    @property
    def requests(self) -> list[Seen]:
        """Requests in the order in which they were read completely."""
        with self._lock:
            return list(self._requests)

    def paths(self) -> list[str]:
        """Only the paths of `requests`."""
        return [seen.path for seen in self.requests]

    def reset_counts(self) -> None:
        """Forget connections, requests and the polls of /until."""
        with self._lock:
            self._connections = 0
            self._requests.clear()
            self._polls.clear()

    def poll_number(self, key: str) -> int:
        """How often /until has been asked for this key, this time included."""
        with self._lock:
            self._polls[key] = self._polls.get(key, 0) + 1
            return self._polls[key]

    def freeze(self, seconds: float) -> None:
        """From now on read but answer nothing for so long, then answer all that is held."""
        self._frozen_until = time.monotonic() + seconds

    def drop_connections(self) -> None:
        """Cut every open connection, so that nothing of one test reaches the next."""
        with self._lock:
            for connection in self._open.values():
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Stop listening and end every answer that is under way."""
        self.stop.set()
        self._acceptor.join(2)
        self._listener.close()
        self.drop_connections()

    def _accept(self) -> None:
        while not self.stop.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            connection.settimeout(None)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                number = next(self._numbers)
                self._connections += 1
                self._open[number] = connection
            threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        try:
            with contextlib.suppress(OSError, Gone):
                self._talk(connection, number)
        finally:
            with self._lock:
                self._open.pop(number, None)
                connection.close()

    def _talk(self, connection: socket.socket, number: int) -> None:
        rest = bytearray()
        for turn in itertools.count(1):
            seen = read_request(connection, rest, number)
            if seen is None:
                return
            with self._lock:
                self._requests.append(seen)
            exchange = Exchange(connection, seen, turn, self)
            exchange.pause(self._frozen_until - time.monotonic())
            if seen.path.startswith("/status/"):
                status(exchange)
            else:
                ROUTES.get(seen.path, not_found)(exchange)
            if not exchange.keep:
                return


@pytest.fixture(scope="session")
def _hostile_pair() -> Iterator[tuple[Hostile, Hostile]]:
    first, second = Hostile("hostile"), Hostile("hostile-other")
    yield first, second
    first.close()
    second.close()


def _fresh(server: Hostile) -> Iterator[Hostile]:
    server.reset_counts()
    yield server
    server.freeze(0)
    server.drop_connections()


@pytest.fixture
def hostile(_hostile_pair: tuple[Hostile, Hostile]) -> Iterator[Hostile]:
    """The hostile server, its counts at zero."""
    yield from _fresh(_hostile_pair[0])


@pytest.fixture
def hostile_other(_hostile_pair: tuple[Hostile, Hostile]) -> Iterator[Hostile]:
    """The same again on another port, that is, another origin: what was sent across?"""
    yield from _fresh(_hostile_pair[1])
