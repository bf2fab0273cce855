"""How does a test get a memcached server of its own?"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.servers.child import child, program
from tests.servers.net import free_port, wait_until

__all__ = ["Memcached", "running_memcached"]


@dataclass(frozen=True)
class Memcached:
    """A running server."""

    port: int
    process: Any = field(repr=False)

    def tell(self, text: str) -> str:
        """Lines said on a connection of their own, and all that was answered."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(f"{text}\r\nquit\r\n".encode())
            heard = b""
            while chunk := connection.recv(65536):
                heard += chunk
            return heard.decode()


@contextlib.contextmanager
def running_memcached(home: Path, *options: str) -> Iterator[Memcached]:
    """A server on a free port that answers."""
    port = free_port()
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    argv = [program("memcached"), "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-m", "16"]
    with child([*argv, *user, *options], home=home) as process:
        server = Memcached(port, process)
        wait_until(lambda: server.tell("version").startswith("VERSION"), 20, "memcached")
        yield server


@pytest.fixture(scope="session")
def memcached(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Memcached]:
    """One server for the whole run."""
    with running_memcached(tmp_path_factory.mktemp("memcached")) as server:
        yield server
