"""What does a client do when the network between it and a good server goes bad?

The kernel here may have no netem, so delay and loss are made in user space, on the byte
stream: one thread for each connection, switches that act at once on open connections too.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from tests.servers.net import reset_on_close

__all__ = ["FaultProxy", "fault_proxy"]

TICK_MS = 20
HELD_LIMIT = 1 << 20


@dataclass
class Faults:
    """The switches of one direction. None or 0: off."""

    delay: float = 0.0
    bytes_per_second: float = 0.0
    corrupt_at: int | None = None
    close_after: int | None = None


@dataclass
class _Flow:
    """Bytes from one socket to the other, each piece with the moment when it may go on."""

    source: socket.socket
    sink: socket.socket
    faults: Callable[[], Faults]
    held: deque[tuple[float, bytes]] = field(default_factory=deque)
    size: int = 0
    passed: int = 0
    free_at: float = 0.0
    ended: bool = False
    closed: bool = False

    def wants_read(self) -> bool:
        return not self.ended and self.size < HELD_LIMIT

    def due(self, now: float) -> bool:
        return bool(self.held) and now >= max(self.held[0][0], self.free_at)

    def wait(self, now: float) -> float:
        """Seconds until the next piece may go."""
        return max(self.held[0][0], self.free_at) - now if self.held else 1.0

    def read(self) -> None:
        data = self.source.recv(65536)
        self.ended = not data
        self.held.append((time.monotonic() + self.faults().delay, data))
        self.size += len(data)

    def write(self) -> None:
        """Pass one piece on; an empty one is the end of the stream."""
        faults = self.faults()
        moment, data = self.held.popleft()
        if not data:
            self.closed = True
            self.sink.shutdown(socket.SHUT_WR)
            return
        room = len(data)
        if faults.bytes_per_second:
            room = max(1, min(room, int(faults.bytes_per_second * TICK_MS / 1000)))
        if faults.close_after is not None:
            room = min(room, max(0, faults.close_after - self.passed))
        sent = self.sink.send(self._spoiled(data[:room], faults)) if room else 0
        if sent < len(data):
            self.held.appendleft((moment, data[sent:]))
        self.passed += sent
        self.size -= sent
        if faults.bytes_per_second:
            self.free_at = time.monotonic() + sent / faults.bytes_per_second

    def _spoiled(self, data: bytes, faults: Faults) -> bytes:
        at = -1 if faults.corrupt_at is None else faults.corrupt_at - self.passed
        if not 0 <= at < len(data):
            return data
        return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]

    def spent(self) -> bool:
        limit = self.faults().close_after
        return limit is not None and self.passed >= limit


class FaultProxy:
    """A TCP proxy to 127.0.0.1:target_port. `up` is towards the server, `down` to the client."""

    def __init__(self, target_port: int, target_host: str = "127.0.0.1") -> None:
        self.target = (target_host, target_port)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._listener.settimeout(0.05)
        self.port = int(self._listener.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.connections = 0
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.heal()
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def heal(self) -> None:
        """Everything off; what a drop held back flows on, as TCP would send it again."""
        self.up, self.down = Faults(), Faults()
        self._dropped = False
        self._resets = False

    def delay(self, *, up: float = 0.0, down: float = 0.0) -> None:
        """Hold every byte for so many seconds."""
        self.up.delay, self.down.delay = up, down

    def drop(self) -> None:
        """A black hole: connections are accepted, no byte and no end passes in either way."""
        self._dropped = True

    def reset(self) -> None:
        """RST for all open connections, and for new ones, until heal()."""
        self._resets = True

    def corrupt(self, at: int = 0, *, direction: str = "down") -> None:
        """Turn over the byte at this offset of each connection's stream."""
        self._one(direction).corrupt_at = at

    def close_after(self, size: int, *, direction: str = "down") -> None:
        """End each connection once so many bytes have passed."""
        self._one(direction).close_after = size

    def bandwidth(self, bytes_per_second: float, *, direction: str = "down") -> None:
        """No faster than this, for each connection."""
        self._one(direction).bytes_per_second = bytes_per_second

    def close(self) -> None:
        """Stop listening and end every connection."""
        self._stop.set()
        self._acceptor.join(2)
        self._listener.close()
        for thread in self._threads:
            thread.join(2)

    def __enter__(self) -> FaultProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _one(self, direction: str) -> Faults:
        return {"up": self.up, "down": self.down}[direction]

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            self.connections += 1
            thread = threading.Thread(target=self._carry, args=(client,), daemon=True)
            self._threads = [one for one in self._threads if one.is_alive()]
            self._threads.append(thread)
            thread.start()

    def _carry(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            try:
                server = socket.create_connection(self.target, timeout=5)
            except OSError:
                reset_on_close(client)
                return
            with server:
                for end in (client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    end.settimeout(0)
                flows = (
                    _Flow(client, server, lambda: self.up),
                    _Flow(server, client, lambda: self.down),
                )
                try:
                    self._pump(flows)
                except OSError:  # one side broke: break the other as well
                    reset_on_close(client)
                    reset_on_close(server)

    def _pump(self, flows: tuple[_Flow, _Flow]) -> None:
        while not self._stop.is_set() and not all(flow.closed for flow in flows):
            if self._resets:
                raise ConnectionResetError
            if self._dropped:
                self._stop.wait(TICK_MS / 1000)
                continue
            if any(flow.spent() for flow in flows):
                return
            self._step(flows)

    def _step(self, flows: tuple[_Flow, _Flow]) -> None:
        """Move what may be moved, or wait for at most a tick."""
        now = time.monotonic()
        readers = [flow.source for flow in flows if flow.wants_read()]
        writers = [flow.sink for flow in flows if flow.due(now)]
        # A piece that is due waits for its sink, not for a moment.
        waits = (flow.wait(now) for flow in flows if not flow.due(now))
        wait = max(0.0, min(TICK_MS / 1000, *waits, 1.0))
        readable, writable = _ready(readers, writers, wait)
        if self._dropped:
            return
        for flow in flows:
            if flow.source.fileno() in readable and flow.wants_read():
                flow.read()
            if flow.sink.fileno() in writable and flow.due(time.monotonic()):
                flow.write()


def _ready(
    readers: list[socket.socket], writers: list[socket.socket], seconds: float
) -> tuple[set[int], set[int]]:
    poll, masks = select.poll(), dict[int, int]()
    for sockets, mask in ((readers, select.POLLIN), (writers, select.POLLOUT)):
        for one in sockets:
            masks[one.fileno()] = masks.get(one.fileno(), 0) | mask
    for number, mask in masks.items():
        poll.register(number, mask)
    events = poll.poll(seconds * 1000)
    broken = select.POLLERR | select.POLLHUP
    return (
        {n for n, e in events if e & (select.POLLIN | broken)},
        {n for n, e in events if e & (select.POLLOUT | broken)},
    )


@pytest.fixture
def fault_proxy() -> Iterator[Callable[[int], FaultProxy]]:
    """`proxy = fault_proxy(target_port)`, as many as wanted; all closed after the test."""
    with contextlib.ExitStack() as stack:
        yield lambda target_port: stack.enter_context(FaultProxy(target_port))
