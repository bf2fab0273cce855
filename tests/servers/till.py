"""Does a load test find out that a shop lies to its customers? This is a shop that can.

It takes orders over HTTP, answers in JSON, and keeps its books in a SQLite file. What it does
wrong is switched on by its attributes; its own log is the oracle.
"""

from __future__ import annotations

import http.server
import itertools
import json
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

__all__ = ["Till", "Took", "till", "till_shop"]

_TABLES = """
    create table orders (number text not null, run text not null, key text not null);
    create table captures (number text not null, key text not null, amount integer not null);
    create table stock (sku text primary key, pieces integer not null);
    insert into stock values ('mug', 1000);
"""


@dataclass(frozen=True)
class Took:
    """One POST that was read to its end."""

    key: str
    body: bytes


class Till:
    """A shop of one step, POST /orders.

    Attributes:
        delay: seconds until an order is stored and answered.
        charges_twice: a bug in the shop: each payment is captured twice.
        forgets_keys: it does not know idempotency keys: a second request is a second order.
        turns_away_repeats: it refuses the second request with a key instead of answering it.
        loses_every: each n-th order is answered and never stored.
        hangs_up_every: of each n-th request the connection is closed instead of answered; the
            order is stored, or not, as `stores_when_hanging_up` says.
        stores_late: seconds from the answer until an order is stored.
    """

    def __init__(self, folder: Path) -> None:
        self.database = folder / "till.sqlite3"
        self.delay = 0.0
        self.charges_twice = self.forgets_keys = self.turns_away_repeats = False
        self.loses_every = self.hangs_up_every = 0
        self.stores_when_hanging_up = True
        self.stores_late = 0.0
        self._lock = threading.Lock()
        self._took: list[Took] = []
        self._known: dict[str, bytes] = {}
        self._numbers = itertools.count(1)
        with closing(sqlite3.connect(self.database)) as books:
            books.execute("pragma journal_mode = wal")
            books.executescript(_TABLES)
        self._server = _server(self)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def dsn(self) -> str:
        """Of its books."""
        return f"sqlite:///{self.database}"

    @property
    def took(self) -> list[Took]:
        """Every POST, in order."""
        with self._lock:
            return list(self._took)

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        """Of its books."""
        with closing(sqlite3.connect(self.database)) as books:
            return list(books.execute(sql))

    def take(self, key: str, run: str, body: bytes) -> tuple[int, bytes] | None:
        """The answer to an order; None: hang up."""
        time.sleep(self.delay)
        with self._lock:
            self._took.append(Took(key, body))
            if key in self._known and not self.forgets_keys:
                known = self._known[key]
                return (409, b'{"error": "paid"}') if self.turns_away_repeats else (201, known)
            count = next(self._numbers)
            answer = json.dumps({"number": f"T-{count:05d}"}).encode()
            self._known[key] = answer
        hangs_up = bool(self.hangs_up_every) and count % self.hangs_up_every == 0
        lost = bool(self.loses_every) and count % self.loses_every == 0
        if not lost and (self.stores_when_hanging_up or not hangs_up):
            self._store_soon(f"T-{count:05d}", run, key)
        return None if hangs_up else (201, answer)

    def _store_soon(self, number: str, run: str, key: str) -> None:
        if not self.stores_late:
            self._store(number, run, key)
            return
        timer = threading.Timer(self.stores_late, self._store, (number, run, key))
        timer.daemon = True
        timer.start()

    def _store(self, number: str, run: str, key: str) -> None:
        captures = [(number, key, 900)] * (2 if self.charges_twice else 1)
        with self._lock, closing(sqlite3.connect(self.database, timeout=20)) as books, books:
            books.execute("insert into orders values (?, ?, ?)", (number, run, key))
            books.executemany("insert into captures values (?, ?, ?)", captures)
            books.execute("update stock set pieces = pieces - 1")

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _server(shop: Till) -> http.server.ThreadingHTTPServer:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            run = (self.headers.get("X-Synthetic") or "").removeprefix("sre/")
            answer = shop.take(self.headers.get("Idempotency-Key") or "", run, body)
            if answer is None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            status, content = answer
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        request_queue_size = 256

    return Server(("127.0.0.1", 0), Handler)


@contextmanager
def till_shop(folder: Path) -> Iterator[Till]:
    """A shop of its own, for the length of a block."""
    shop = Till(folder)
    try:
        yield shop
    finally:
        shop.close()


@pytest.fixture
def till(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Till]:
    """A fresh shop that does nothing wrong yet."""
    with till_shop(tmp_path_factory.mktemp("till")) as shop:
        yield shop
