"""How does a test get a real HAProxy in TCP mode before servers that say who they are?"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.servers.child import child, program
from tests.servers.net import free_port, wait_until

__all__ = ["Front", "Named", "running_front", "stopped", "talker"]


class Named:
    """A server that says its name to whoever connects, then echoes until they hang up."""

    def __init__(self, name: str) -> None:
        self.name = name
        outer = self

        class _Talk(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    self.request.sendall(outer.name.encode() + b"\n")
                    while data := self.request.recv(4096):
                        self.request.sendall(data)

        self._server = _Server(("127.0.0.1", 0), _Talk)
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, *_: object) -> None:
        """Sessions are cut here on purpose."""


@dataclass
class Front:
    """A running HAProxy with the backend `pg`, `a` open and the others `disabled` in its file."""

    process: subprocess.Popen[str]
    home: Path
    port: int
    admin: int
    servers: dict[str, Named]

    @property
    def socket(self) -> str:
        return str(self.home / "admin.sock")

    @property
    def master(self) -> str:
        return str(self.home / "master.sock")

    @property
    def config(self) -> Path:
        return self.home / "h.cfg"

    def say(self, command: str, at: str = "") -> str:
        """One line of commands; the test's own way in."""
        with socket.socket(socket.AF_UNIX) as raw:
            raw.settimeout(10)
            raw.connect(at or self.socket)
            raw.sendall(f"{command}\n".encode())
            raw.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: raw.recv(65536), b"")).decode()

    def answered(self) -> str:
        """The name of the server that a new client reaches; empty when none."""
        with talker(self.port) as (_, name):
            return name

    def reload(self) -> None:
        """As `systemctl reload` does; returns when the new worker serves the socket."""
        before = self.say("show info").partition("Pid: ")[2].split()[0]
        os.kill(self.process.pid, signal.SIGUSR2)

        def anew() -> bool:
            return self.say("show info").partition("Pid: ")[2].split()[0] != before

        wait_until(anew, 20, "HAProxy's new worker")


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A process that is there and does nothing, all its threads."""

    def halted() -> bool:
        tasks = Path(f"/proc/{pid}/task").glob("*/stat")
        return all(each.read_text().rpartition(")")[2].split()[0] == "T" for each in tasks)

    os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(halted, 5, "its halt")
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def talker(port: int) -> Iterator[tuple[socket.socket, str]]:
    """A client's connection and the name that it was told; empty when it was hung up on."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        try:
            said = raw.recv(100)
        except ConnectionError:
            said = b""
        yield raw, said.decode().strip()


_CONFIG = """# made by hand, keep it so
global
  stats socket {home}/admin.sock mode 600 level admin expose-fd listeners
  stats socket 127.0.0.1:{admin} level operator
  {threads}
defaults
  mode tcp
  timeout connect 2s
  timeout client 60s
  timeout server 60s
frontend front
  bind 127.0.0.1:{port}
  default_backend pg
backend pg
{servers}
{more}
"""


@contextlib.contextmanager
def running_front(
    home: Path, names: str = "abc", *, options: str = "", more: str = "", threads: str = ""
) -> Iterator[Front]:
    """HAProxy in master-worker mode before one server for each letter of `names`."""
    haproxy, servers = program("haproxy"), {name: Named(name) for name in names}
    home.mkdir(parents=True, exist_ok=True)
    lines = "\n".join(
        f"  server {name} 127.0.0.1:{each.port} {options}{' disabled' if at else ''} # {name}'s"
        for at, (name, each) in enumerate(servers.items())
    )
    port, admin = free_port(), free_port()
    text = _CONFIG.format(
        home=home, port=port, admin=admin, servers=lines, more=more, threads=threads
    )
    (home / "h.cfg").write_text(text)
    argv = [haproxy, "-W", "-db", "-S", f"{home}/master.sock", "-f", str(home / "h.cfg")]
    try:
        with child(argv, home=home) as process:
            front = Front(process, home, port, admin, servers)
            wait_until(lambda: "Pid: " in front.say("show info"), 20, "HAProxy")
            wait_until(lambda: "worker" in front.say("show proc", front.master), 20, "its master")
            yield front
    finally:
        for each in servers.values():
            each.close()
