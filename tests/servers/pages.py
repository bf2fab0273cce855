"""What can a page do to a browser? A server whose pages are slow, restless, wrong or hostile."""

from __future__ import annotations

import base64
import random
import struct
import threading
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

__all__ = ["Pages", "pages"]


def noise(width: int, height: int) -> bytes:
    """A PNG with content: Chromium takes no plain surface for a largest paint."""
    drawn = random.Random(1)
    rows = b"".join(b"\0" + drawn.randbytes(width * 3) for _ in range(height))
    head = struct.pack("!IIBBBBB", width, height, 8, 2, 0, 0, 0)

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack("!I", zlib.crc32(kind + data))
        return struct.pack("!I", len(data)) + kind + data + check

    parts = (chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows, 1)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


PICTURE = noise(300, 200)
GOOD = "<title>Shop – home</title><h1>Hello, customer</h1>"

PAGES = {
    "/good": GOOD,
    "/late": GOOD + "<img src='/picture?wait=0.4' width=900 height=600>",
    "/moves": GOOD + """<div style='height:300px;background:navy'>It moves.</div><script>
        setTimeout(() => document.body.insertAdjacentHTML("afterbegin",
          "<div style='height:400px;background:teal'>banner</div>"), 150);
        requestAnimationFrame(() => setTimeout(() => {
          const end = performance.now() + 250; while (performance.now() < end) {} }, 300));
        </script>""",
    "/errors": GOOD + """<script>console.error("one"); console.assert(false); console.log("no");
        setTimeout(() => { throw new Error("two") }, 1); Promise.reject(new Error("three"));
        </script><script src=/status/404></script><img src=/status/500><img src=/hangup>""",
    "/never": GOOD + "<img src='/picture?wait=60'>",
    "/loop-later": GOOD + "<script>setTimeout(() => { while (true) {} }, 200)</script>",
    "/odd": GOOD + """<script>window.open('/popped'); alert('stop'); confirm('really?');
        window.PerformanceObserver = null; performance.now = () => 1e9;
        window.setTimeout = () => {}; JSON.stringify = () => "{}";</script>""",
    "/lazy": GOOD + """<script>setTimeout(() => document.body.insertAdjacentHTML("afterbegin",
        "<div id=products style='height:300px'>a kettle</div>"), 300)</script>""",
}  # fmt: skip


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    server: Pages

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        self.server.seen.append((self.path, dict(self.headers)))
        if query.startswith("wait="):
            self.server.stop.wait(float(query[5:]))
        if path in self.server.extra or path in PAGES:
            self._answer(200, {**PAGES, **self.server.extra}[path].encode())
        elif path == "/picture":
            self._answer(200, PICTURE, "image/png")
        elif path.startswith("/status/"):
            self._answer(int(path[8:]), b"<h1>status</h1>")
        elif path == "/hangup":
            self.close_connection = True
        elif path == "/to":
            self._answer(302, b"", location=query)
        elif path == "/file":
            self._answer(200, b"data" * 100, "application/octet-stream")
        elif path == "/private":
            right = base64.b64encode(b"staff:correct horse").decode()
            good = self.headers.get("Authorization") == f"Basic {right}"
            self._answer(200 if good else 401, GOOD.encode())
        elif path == "/endless":
            self._endless()
        else:
            self._answer(404, b"nothing here")

    def _answer(
        self, status: int, body: bytes, kind: str = "text/html; charset=utf-8", location: str = ""
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Set-Cookie", "basket=7")
        if location:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(body)

    def _endless(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.close_connection = True
        while not self.server.stop.wait(0.05):
            self.wfile.write(b"<p>more</p>" * 1000)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base's name
        """Say nothing."""


class Pages(ThreadingHTTPServer):
    """On a free port of 127.0.0.1; `seen` is what was asked for, `extra` pages of a test."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.extra: dict[str, str] = {}
        self.stop = threading.Event()
        self.port = int(self.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: browsers that are killed hang up."""


@pytest.fixture(scope="session")
def pages() -> Iterator[Pages]:
    """`Pages` for the whole run of tests."""
    server = Pages()
    yield server
    server.stop.set()
    server.shutdown()
    server.server_close()
