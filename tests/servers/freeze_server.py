"""A fast HTTP server that can stand still, run as a program of its own (see freeze.py).

usage: freeze_server.py LOG SERVICE_SECONDS. Says "port N" on stdout; each line of stdin is an
order, answered by "ok": `freeze AFTER SECONDS` | `now SECONDS` | `flush` | `reset`.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from pathlib import Path

ANSWER = (
    b"HTTP/1.1 200 OK\r\nServer: freeze\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
)


class State:
    """The window, and the log of who arrived and was answered when."""

    def __init__(self, log: Path, service: float) -> None:
        self.log = log
        self.service = service
        self.reset()

    def reset(self) -> None:
        self.first: float | None = None
        self.after: tuple[float, float] | None = None
        self.window: tuple[float, float] = (0.0, 0.0)
        self.connections = 0
        self.rows: list[str] = []
        self.log.write_text("", encoding="utf-8")

    def arrival(self) -> float:
        now = time.monotonic()
        if self.first is None:
            self.first = now
        if self.after is not None:
            start = self.first + self.after[0]
            self.window, self.after = (start, start + self.after[1]), None
        return now

    def due(self, arrived: float) -> float:
        """Constant service time; what would be answered inside the window waits for its end."""
        due = arrived + self.service
        start, end = self.window
        return end if start <= due < end else due

    def order(self, words: list[str]) -> None:
        verb, *numbers = words
        if verb == "freeze":
            self.after = (float(numbers[0]), float(numbers[1]))
            if self.first is not None:
                start = self.first + self.after[0]
                self.window, self.after = (start, start + self.after[1]), None
        elif verb == "now":
            start = time.monotonic()
            self.window = (start, start + float(numbers[0]))
        elif verb == "reset":
            self.reset()
        elif verb == "flush":
            window = f"window {self.window[0]!r} {self.window[1]!r} {self.connections}\n"
            self.log.write_text(window + "".join(self.rows), encoding="utf-8")


class Speaker(asyncio.Protocol):
    """One connection: requests are answered in their order."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.held = b""
        state.connections += 1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        arrived = self.state.arrival()
        self.held += data
        while True:
            head, mark, rest = self.held.partition(b"\r\n\r\n")
            size = _length(head) if mark else 0
            if not mark or len(rest) < size:
                return
            self.held = rest[size:]
            path = head.split(b" ", 2)[1].decode("latin-1")
            due = self.state.due(arrived)
            asyncio.get_running_loop().call_at(due, self.answer, path, arrived)

    def answer(self, path: str, arrived: float) -> None:
        if self.transport.is_closing():
            self.state.rows.append(f"{arrived!r} nan {path}\n")
            return
        # The moment is taken before the write: nothing that the client does can precede it.
        now = time.monotonic()
        self.transport.write(ANSWER)
        self.state.rows.append(f"{arrived!r} {now!r} {path}\n")


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    return 0


async def serve(log: Path, service: float) -> None:
    state = State(log, service)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Speaker(state), "127.0.0.1", 0, backlog=4096)
    sys.stdout.write(f"port {server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    gc.freeze()
    gc.disable()
    while line := await reader.readline():
        state.order(line.decode().split())
        sys.stdout.write("ok\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), float(sys.argv[2])))
