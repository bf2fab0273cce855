"""How does a test get a real nginx with a configuration of its own?"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import requests

from tests.servers.child import child, program
from tests.servers.net import free_port, wait_until

__all__ = ["Nginx", "nginx_shop", "running_nginx"]

_TEMPS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@dataclass(frozen=True)
class Nginx:
    """A running nginx; `home/access.log` is its log unless its servers say otherwise."""

    process: subprocess.Popen[str]
    port: int
    home: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.home / "access.log"

    def reopen(self) -> None:
        """Open the logs anew, as a rotation asks for."""
        self.process.send_signal(signal.SIGUSR1)

    def workers(self) -> list[int]:
        """The process numbers of its workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(word) for word in children.read_text().split()]

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Accepts connections and does nothing, workers too."""
        everyone = [self.process.pid, *self.workers()]
        for pid in everyone:
            os.kill(pid, signal.SIGSTOP)
            wait_until(lambda one=pid: psutil.Process(one).status() == "stopped", 5, "its halt")
        try:
            yield
        finally:
            for pid in everyone:
                os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def running_nginx(
    home: Path, servers: str, *, port: int | None = None, http: str = "", events: str = ""
) -> Iterator[Nginx]:
    """nginx with `servers` ({port} is its port) and `http` in its http block."""
    nginx, port = program("nginx"), port or free_port()
    home.mkdir(parents=True, exist_ok=True)
    temps = "".join(f"{name}_temp_path {home}/{name};\n" for name in _TEMPS)
    user = "user root;" if os.geteuid() == 0 else ""
    (home / "n.conf").write_text(
        f"daemon off; {user} pid {home}/pid; error_log {home}/error.log; worker_processes 1;\n"
        f"events {{ {events} }}\nhttp {{ access_log {home}/access.log;\n{temps}{http}\n"
        + servers.replace("{port}", str(port))
        + "\n}\n",
        encoding="utf-8",
    )
    argv = [nginx, "-c", str(home / "n.conf"), "-e", str(home / "error.log"), "-p", str(home)]
    with child(argv, home=home) as process:

        def answers() -> bool:
            assert process.poll() is None, (home / "error.log").read_text()
            return requests.get(f"http://127.0.0.1:{port}/", timeout=5).status_code > 0

        wait_until(answers, 20, "nginx")
        yield Nginx(process, port, home)


@pytest.fixture(scope="session")
def nginx_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """One with a few pages and stub_status, for the whole run; nobody may stop it."""
    status = "location = /nginx_status { stub_status; access_log off; }"
    locked = 'location = /locked { stub_status; auth_basic "s"; auth_basic_user_file users; }'
    page = 'location / { default_type text/html; return 200 "hello"; }'
    home = tmp_path_factory.mktemp("nginx")
    (home / "users").write_text("watch:{PLAIN}open-sesame\n")
    servers = f"server {{ listen 127.0.0.1:{{port}}; {status} {locked} {page} }}"
    with running_nginx(home, servers) as nginx:
        yield nginx
