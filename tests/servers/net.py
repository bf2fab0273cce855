"""Which port is free, has it happened yet, and did anything connect at all?"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import NoReturn, TypeVar

import pytest

__all__ = ["Canary", "free_port", "missing", "reset_on_close", "wait_until"]

T = TypeVar("T")
_handed_out: set[int] = set()
_handing_out = threading.Lock()


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on; never the same one twice in a process.

    Another process may take it before you do: where a server can bind port 0 itself, let it.
    """
    with _handing_out:
        while True:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = int(probe.getsockname()[1])
            if port not in _handed_out:
                _handed_out.add(port)
                return port


def wait_until(predicate: Callable[[], T], seconds: float, what: str) -> T:
    """The first true answer of `predicate`, asked every 10 ms; AssertionError after `seconds`.

    Exceptions of the predicate count as "not yet", and the last one is named at the end.
    """
    deadline = time.monotonic() + seconds
    last: object = None
    while True:
        try:
            answer = predicate()
            if answer:
                return answer
            last = answer
        except Exception as error:
            last = error
        if time.monotonic() >= deadline:
            raise AssertionError(f"waited {seconds} s for {what}; the last answer was {last!r}")
        time.sleep(0.01)


def missing(what: str) -> NoReturn:
    """A real part is not installed: a failure in CI, a skip that names it elsewhere."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing, and CI must have it", pytrace=False)
    pytest.skip(f"{what} is missing")


def reset_on_close(connection: socket.socket) -> None:
    """Make the next close() send RST in place of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Canary:
    """A listening port that must stay untouched: proves that NO packet was sent.

    A connection is reset as soon as it is seen, so that a guilty client fails at once,
    sometimes already in connect(). The count is exact at any time: reading it first accepts what
    the kernel still holds.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        self._listener = socket.create_server((host, 0), backlog=512)
        self._listener.settimeout(0)
        self._lock = threading.Lock()
        self._peers: list[tuple[str, int]] = []
        self._stop = threading.Event()
        self.host = host
        self.port = int(self._listener.getsockname()[1])
        self.url = f"http://{host}:{self.port}"
        self._thread = threading.Thread(target=self._watch, name="canary", daemon=True)

    @property
    def connections(self) -> int:
        """How many connections there have been."""
        return len(self.peers)

    @property
    def peers(self) -> list[tuple[str, int]]:
        """Who connected: (address, port), in order."""
        with self._lock:
            self._drain()
            return list(self._peers)

    def _drain(self) -> None:
        while not self._stop.is_set():
            try:
                connection, peer = self._listener.accept()
            except OSError:
                return
            self._peers.append((peer[0], peer[1]))
            with contextlib.suppress(OSError):
                reset_on_close(connection)
            connection.close()

    def _watch(self) -> None:
        while not self._stop.wait(0.02):
            with self._lock:
                self._drain()

    def __enter__(self) -> Canary:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            self._drain()
        self._stop.set()
        self._thread.join(2)
        self._listener.close()


@pytest.fixture
def canary() -> Iterator[Canary]:
    """A fresh `Canary` on 127.0.0.1."""
    with Canary() as bird:
        yield bird
