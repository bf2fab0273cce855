"""Is a request with an effect sent once, even where libcurl would send it again by itself?"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from sre.journey.result import Outcome
from sre.probes.kinds.http import HttpProbe
from tests.servers.onloop import context, looping

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class HangsUp:
    """Answers the first request of each connection, and closes on the second without a word."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection:
            for answer in (GOOD, b""):
                head = b""
                while b"\r\n\r\n" not in head:
                    piece = connection.recv(65536)
                    if not piece:
                        return
                    head += piece
                self.asked.append(head.split(b" ")[0])
                connection.sendall(answer)


@pytest.fixture
def server() -> Iterator[HangsUp]:
    made = HangsUp()
    yield made
    made.listener.close()


@pytest.mark.parametrize(
    ("method", "asked", "outcome"), [("post", 2, Outcome.FAILED), ("get", 3, Outcome.OK)]
)
def test_a_kept_connection_that_dies(
    server: HangsUp, method: str, asked: int, outcome: Outcome
) -> None:
    probe, told = HttpProbe(server.url, method=method, keep_alive=True), []
    with looping() as loop:
        for number in range(2):
            its = context()
            loop.carry(probe.talk(its), its, told.append)
            while len(told) <= number:
                loop.work(0.05)
    assert [reading.outcome for reading in told] == [Outcome.OK, outcome]
    assert len(server.asked) == asked
