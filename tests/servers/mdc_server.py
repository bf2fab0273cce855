"""A shop with so many tills, run as a program of its own (see mdc.py).

usage: mdc_server.py LOG TILLS SECONDS. Says "port N" on stdout.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"


class _Queue:
    """When each till is free again: a customer goes to the one that is free first."""

    def __init__(self, count: int, service: float) -> None:
        self._free = [0.0] * count
        self._service = service

    def answer_at(self, now: float) -> float:
        """Whoever comes now is answered then."""
        till = min(range(len(self._free)), key=self._free.__getitem__)
        self._free[till] = max(now, self._free[till]) + self._service
        return self._free[till]


class _Speaker(asyncio.Protocol):
    def __init__(self, queue: _Queue, log: Path) -> None:
        self._queue, self._log, self._held = queue, log, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._held += data
        loop = asyncio.get_running_loop()
        while b"\r\n\r\n" in self._held:
            _, _, self._held = self._held.partition(b"\r\n\r\n")
            came = loop.time()
            loop.call_at(self._queue.answer_at(came), self._answer, came)

    def _answer(self, came: float) -> None:
        """Also for those who have left: a till does not know."""
        if not self._transport.is_closing():
            self._transport.write(ANSWER)
        with self._log.open("a", encoding="utf-8") as log:
            log.write(f"{came!r} {asyncio.get_running_loop().time()!r}\n")


async def _serve(log: Path, count: int, service: float) -> None:
    queue = _Queue(count, service)
    log.write_text("", encoding="utf-8")
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Speaker(queue, log), "127.0.0.1", 0, backlog=4096)
    sys.stdout.write(f"port {server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
