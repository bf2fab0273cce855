"""One request read from a raw socket, and the means to answer it rightly or wrongly."""

from __future__ import annotations

import http
import json
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Protocol
from urllib.parse import parse_qsl, urlsplit

__all__ = ["Exchange", "Gone", "Headers", "Seen", "read_request"]

Headers = Sequence[tuple[str, str]]
BODILESS = (204, 304)


class Gone(Exception):
    """The server is being closed, or the client has left: stop answering."""


class Server(Protocol):
    """What a page may ask of the server that it belongs to."""

    url: str
    stop: Event

    def poll_number(self, key: str) -> int: ...


@dataclass(frozen=True)
class Seen:
    """A request as it arrived: header names in their own case and order."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    client_port: int
    connection: int
    at: float = field(default_factory=time.monotonic)

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> str:
        return urlsplit(self.target).query

    def header(self, name: str) -> str | None:
        """The first header of this name in any case, or None."""
        return next((v for n, v in self.headers if n.lower() == name.lower()), None)


def _more(connection: socket.socket, held: bytearray) -> bool:
    data = connection.recv(65536)
    held += data
    return bool(data)


def _until(connection: socket.socket, held: bytearray, mark: bytes) -> bytes | None:
    while mark not in held:
        if not _more(connection, held):
            return None
    end = held.index(mark) + len(mark)
    taken = bytes(held[:end])
    del held[:end]
    return taken


def _exactly(connection: socket.socket, held: bytearray, size: int) -> bytes:
    while len(held) < size:
        if not _more(connection, held):
            raise Gone
    taken = bytes(held[:size])
    del held[:size]
    return taken


def _chunks(connection: socket.socket, held: bytearray) -> bytes:
    body = b""
    while True:
        line = _until(connection, held, b"\r\n")
        if line is None:
            raise Gone
        size = int(line.split(b";")[0], 16)
        body += _exactly(connection, held, size + 2)[:-2]
        if size == 0:
            return body


def read_request(connection: socket.socket, held: bytearray, number: int) -> Seen | None:
    """The next request; None when the client has hung up. `held` keeps what was read ahead."""
    head = _until(connection, held, b"\r\n\r\n")
    if head is None:
        return None
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, target, *_ = [*first.split(" "), "", ""]
    headers = [(n, v.strip()) for n, _, v in (line.partition(":") for line in lines)]
    small = {n.lower(): v for n, v in headers}
    if small.get("expect", "").lower() == "100-continue":
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    if small.get("transfer-encoding", "").lower() == "chunked":
        body = _chunks(connection, held)
    else:
        body = _exactly(connection, held, int(small.get("content-length", "0")))
    port = int(connection.getpeername()[1])
    return Seen(method, target, headers, body, port, number)


class Exchange:
    """A request that waits for its answer. `keep` says whether the connection goes on."""

    def __init__(self, connection: socket.socket, seen: Seen, turn: int, server: Server) -> None:
        self.connection = connection
        self.seen = seen
        self.turn = turn
        self.server = server
        self.params = dict(parse_qsl(seen.query, keep_blank_values=True))
        self.keep = (seen.header("connection") or "").lower() != "close"

    def number(self, name: str, default: float) -> float:
        """A number of the query."""
        return float(self.params.get(name, default))

    def pause(self, seconds: float) -> None:
        """Wait exactly so long, but end at once when the server is closed."""
        if seconds > 0 and self.server.stop.wait(seconds):
            raise Gone

    def wait_for_client_to_leave(self) -> None:
        """Answer nothing until the client hangs up or the server is closed."""
        self.connection.settimeout(0.1)
        while not self.server.stop.is_set():
            try:
                if not self.connection.recv(65536):
                    break
            except TimeoutError:
                continue
        raise Gone

    def send(self, data: bytes) -> None:
        """Raw bytes, right or wrong."""
        self.connection.sendall(data)

    def head(self, code: int, headers: Headers, *, version: str = "1.1") -> bytes:
        """A status line and headers, with nothing added."""
        try:
            reason = http.HTTPStatus(code).phrase
        except ValueError:
            reason = "Unknown"
        lines = [f"HTTP/{version} {code} {reason}", *(f"{n}: {v}" for n, v in headers)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def reply(
        self,
        body: bytes | str = b"",
        code: int = 200,
        kind: str = "text/html; charset=utf-8",
        headers: Headers = (),
    ) -> None:
        """A correct answer in one packet."""
        data = body.encode() if isinstance(body, str) else body
        own = [("Content-Type", kind), *headers]
        if code not in BODILESS:
            own.append(("Content-Length", str(len(data))))
        silent = self.seen.method == "HEAD" or code in BODILESS
        self.send(self.head(code, own) + (b"" if silent else data))

    def reply_json(self, value: object, code: int = 200, headers: Headers = ()) -> None:
        """A correct JSON answer."""
        self.reply(json.dumps(value), code, "application/json", headers)
