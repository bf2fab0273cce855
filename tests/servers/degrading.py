"""How does a test get the example's HAProxy before a shop that counts who is at its checkout?"""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from tests.servers.child import child, program
from tests.servers.net import free_port, wait_until

__all__ = ["EXAMPLES", "Edge", "Flags", "running_edge", "running_flags"]

EXAMPLES = Path(__file__).parents[2] / "examples"


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 200

    def handle_error(self, *_: object) -> None:
        """HAProxy resets what it no longer needs; that is no error."""


class _Shop(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server: Any = self.server
        with server.lock:
            server.inside += 1
            server.most = max(server.most, server.inside)
        if self.path.startswith("/checkout/slow"):
            time.sleep(0.05)
        with server.lock:
            server.inside -= 1
        body = b"shop"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silent."""


class _FlagsPage(http.server.BaseHTTPRequestHandler):
    def do_PUT(self) -> None:
        server: Any = self.server
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        server.asked.append((self.path, body.decode(), dict(self.headers)))
        if server.holds.is_set():
            server.reached.set()
            server.go_on.wait(20)
        if server.status == 200 and self.path.startswith("/flags/"):
            server.flags[self.path] = json.loads(body)
        if server.status:
            self.send_response(server.status)
            self.end_headers()

    def log_message(self, *_: object) -> None:
        """Silent."""


@dataclass
class Flags:
    """A small API of flags. `status` 0: it takes the request and hangs up without an answer."""

    server: Any
    url: str

    @property
    def asked(self) -> list[tuple[str, str, dict[str, str]]]:
        found: list[tuple[str, str, dict[str, str]]] = self.server.asked
        return found


@contextlib.contextmanager
def running_flags() -> Iterator[Flags]:
    """The API, on a free port."""
    server: Any = _Server(("127.0.0.1", 0), _FlagsPage)
    server.asked, server.flags, server.status = [], {}, 200
    server.holds, server.reached, server.go_on = (threading.Event() for _ in range(3))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield Flags(server, f"http://127.0.0.1:{server.server_address[1]}")
    finally:
        server.go_on.set()
        server.shutdown()
        server.server_close()


@dataclass
class Edge:
    """HAProxy with the example's configuration."""

    process: subprocess.Popen[str]
    home: Path
    port: int
    shop: Any
    session: requests.Session = field(default_factory=requests.Session)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def features(self) -> Path:
        return self.home / "features.map"

    def get(self, path: str, source: str = "127.0.0.1") -> requests.Response:
        """As a visitor at `source`, on a connection of its own."""
        with requests.Session() as session:
            session.trust_env = False
            adapter: Any = session.get_adapter(self.url)
            adapter.init_poolmanager(1, 1, source_address=(source, 0))
            return session.get(f"{self.url}{path}", timeout=10)

    def status(self, path: str, source: str = "127.0.0.1") -> int:
        return self.get(path, source).status_code

    def reload(self) -> None:
        """As `systemctl reload haproxy`; returns when the new worker serves."""
        before = self.worker()
        os.kill(self.process.pid, signal.SIGUSR2)
        wait_until(lambda: self.worker() != before, 15, "a new worker of HAProxy")

    def worker(self) -> str:
        """The process id of who answers at the runtime API."""
        from sre.core.clock import Deadline
        from sre.failover.degrade.places.runtime import ask

        said = ask(f"{self.home}/admin.sock", "show info", Deadline.after(5))
        return next(line for line in said.splitlines() if line.startswith("Pid:"))


FEATURES = (
    "# what the shop shows\ncheckout\ton\nrecommendations   on\n\nother  a value; with 'signs'\n"
)
RATES = "/ 1000000\n/checkout 1000000\n"


@contextlib.contextmanager
def running_edge(home: Path) -> Iterator[Edge]:
    """HAProxy before a shop, the maps as a shop has them before any level."""
    haproxy = program("haproxy")
    home.mkdir(parents=True, exist_ok=True)
    shop: Any = _Server(("127.0.0.1", 0), _Shop)
    shop.lock, shop.inside, shop.most = threading.Lock(), 0, 0
    threading.Thread(target=shop.serve_forever, args=(0.01,), daemon=True).start()
    port = free_port()
    text = (EXAMPLES / "degrade-haproxy.cfg").read_text(encoding="utf-8")
    for old, new in (
        ("127.0.0.1:18080", f"127.0.0.1:{shop.server_address[1]}"),
        ("127.0.0.1:18082", f"127.0.0.1:{port}"),
        ("/run/haproxy/admin.sock", f"{home}/admin.sock"),
        ("/etc/haproxy/", f"{home}/"),
    ):
        assert old in text
        text = text.replace(old, new)
    (home / "h.cfg").write_text(text, encoding="utf-8")
    (home / "features.map").write_text(FEATURES, encoding="utf-8")
    (home / "rates.map").write_text(RATES, encoding="utf-8")
    try:
        with child([haproxy, "-W", "-db", "-f", str(home / "h.cfg")], home=home) as process:
            edge = Edge(process, home, port, shop)
            wait_until(lambda: edge.status("/") == 200, 15, "HAProxy before the shop")
            yield edge
    finally:
        shop.shutdown()
        shop.server_close()
