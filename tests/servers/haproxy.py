"""How does a test get a real HAProxy before web servers that it may kill?"""

from __future__ import annotations

import contextlib
import http.server
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.servers.child import child, program
from tests.servers.net import free_port, wait_until

__all__ = ["Haproxy", "Web", "running_haproxy"]


class _Page(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server: Any = self.server
        if self.path == "/held":
            server.held.wait(20)
        status = 500 if self.path == "/broken" else 200
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"hi")

    def log_message(self, *_: object) -> None:
        """Silent."""


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, *_: object) -> None:
        """Health checks hang up early; that is no error."""


class Web:
    """A web server that can be stopped and started again at its port."""

    def __init__(self) -> None:
        self.port = free_port()
        self.held = threading.Event()
        self._server: Any = None

    def start(self) -> None:
        self.held.clear()
        self._server = _Server(("127.0.0.1", self.port), _Page)
        self._server.held = self.held
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self.held.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@dataclass
class Haproxy:
    """A running HAProxy: backend `shop` with `webs` as w0, w1, …, and its runtime API."""

    process: subprocess.Popen[str]
    home: Path
    port: int
    stats: int
    admin: int
    webs: list[Web] = field(default_factory=list)

    @property
    def socket(self) -> str:
        return str(self.home / "admin.sock")

    def say(self, command: str) -> str:
        """One command of the runtime API; the test's own way in."""
        with socket.socket(socket.AF_UNIX) as raw:
            raw.settimeout(10)
            raw.connect(self.socket)
            raw.sendall(f"{command}\n".encode())
            return b"".join(iter(lambda: raw.recv(65536), b"")).decode()

    def states(self) -> dict[str, str]:
        """What HAProxy says about each server of `shop`."""
        rows = [line.split(",") for line in self.say("show stat").splitlines()]
        return {row[1]: row[17] for row in rows if row[0] == "shop" and row[1] != "BACKEND"}


_CONFIG = """
global
  stats socket {home}/admin.sock mode 600 level admin expose-fd listeners
  stats socket 127.0.0.1:{admin} level user
  maxconn 200
defaults
  mode http
  timeout connect 2s
  timeout client 20s
  timeout server 20s
  timeout queue 20s
frontend web
  bind 127.0.0.1:{port}
  maxconn 20
  default_backend shop
backend shop
  option httpchk GET /
{servers}
listen stats
  bind 127.0.0.1:{stats}
  stats enable
  stats uri /stats
  stats auth watch:open-sesame
{more}
"""


@contextlib.contextmanager
def running_haproxy(
    home: Path, webs: int = 2, *, spare: bool = False, more: str = ""
) -> Iterator[Haproxy]:
    """HAProxy with that many web servers behind it, all up; with `spare`, the last is a backup."""
    haproxy, found = program("haproxy"), [Web() for _ in range(webs)]
    home.mkdir(parents=True, exist_ok=True)
    servers = "\n".join(
        f"  server w{n} 127.0.0.1:{web.port} check inter 100ms fall 1 rise 1 maxconn 2"
        + (" backup" if spare and n == webs - 1 else "")
        for n, web in enumerate(found)
    )
    port, stats, admin = free_port(), free_port(), free_port()
    (home / "h.cfg").write_text(
        _CONFIG.format(home=home, admin=admin, port=port, stats=stats, servers=servers, more=more)
    )
    for web in found:
        web.start()
    try:
        with child([haproxy, "-W", "-db", "-f", str(home / "h.cfg")], home=home) as process:
            running = Haproxy(process, home, port, stats, admin, found)
            wait_until(lambda: _all_up(running, webs), 20, "HAProxy with all servers up")
            yield running
    finally:
        for web in found:
            web.stop()


def _all_up(running: Haproxy, webs: int) -> bool:
    return list(running.states().values()).count("UP") == webs
