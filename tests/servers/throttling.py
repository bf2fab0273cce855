"""Does a client heed `Retry-After`? A shop that turns every customer away once, then serves him."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

__all__ = ["Throttling", "throttling"]


class Throttling:
    """429 with `Retry-After: 1` for the first request of each path and query, 200 after that.

    Attributes:
        asked: path and query -> when it was asked for, time.monotonic().
    """

    def __init__(self) -> None:
        self.asked: dict[str, list[float]] = {}
        lock, asked = threading.Lock(), self.asked

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                with lock:
                    times = asked.setdefault(self.path, [])
                    times.append(time.monotonic())
                    first = len(times) == 1
                self.send_response(429 if first else 200)
                if first:
                    self.send_header("Retry-After", "1")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, format: str, *args: object) -> None:
                """Silence."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def paths(self) -> list[str]:
        """Every path that was asked for, without its query."""
        return [urlsplit(address).path for address in self.asked]

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join(5)
        self._server.server_close()


@pytest.fixture
def throttling() -> Iterator[Throttling]:
    server = Throttling()
    yield server
    server.close()
