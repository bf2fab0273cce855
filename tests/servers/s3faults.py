"""What if the way to a good S3 server fails at chosen requests? A proxy that follows a plan.

Each rule says what happens to which requests, and how often. What it does not change passes as it
came: a byte turned over on the way up meets the server's own checksums.
"""

from __future__ import annotations

import contextlib
import http.client
import random
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.servers.net import reset_on_close
from tests.servers.s3 import S3Server

__all__ = ["ACTS", "FaultyS3", "Rule", "faulty_s3"]

ACTS = {
    "500": "answered at once with 500 InternalError",
    "503": "answered at once with 503 SlowDown",
    "error-200": "the server is not asked; 200, and an error stands in the body",
    "delay": "held for `seconds`, then as usual",
    "stall": "no answer ever; the connection stays open",
    "reset": "RST before the server is asked",
    "reset-up": "RST after `size` bytes of the request's body",
    "reset-down": "RST after `size` bytes of the answer's body",
    "lost": "the server does it; its answer is dropped",
    "lost-503": "the server does it; the answer is 503",
    "flip-up": "the middle byte of the request's body is turned over",
    "flip-down": "the middle byte of the answer's body is turned over",
    "cut-down": "the answer's body ends early, its length says so too",
    "slow-up": "the request's body is taken in pieces of `size` bytes, `seconds` apart",
    "drip": "the answer's body comes in pieces of `size` bytes, `seconds` apart",
    "empty-list": "a list without anything in it, and no word of more",
    "twice-list": "everything in a list stands there twice",
}
_ERROR = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{}</Code><Message>no</Message></Error>'
)
_CODES = {"500": "InternalError", "503": "SlowDown", "lost-503": "SlowDown"}
_HOP = {"connection", "transfer-encoding", "expect", "content-length", "keep-alive"}


@dataclass
class Rule:
    """What happens to which requests.

    Attributes:
        act: one of ACTS.
        method: of the requests; any when empty.
        where: searched for in path and query, a regular expression.
        skip: as many matching requests pass first.
        times: then so many are hit; None: all.
        share: of those, by chance.
        size, seconds: see ACTS.
    """

    act: str
    method: str = ""
    where: str = ""
    skip: int = 0
    times: int | None = 1
    share: float = 1.0
    size: int = 0
    seconds: float = 0.0
    hits: int = 0

    def __post_init__(self) -> None:
        assert self.act in ACTS, self.act

    def matches(self, method: str, path: str, chance: float) -> bool:
        """Whether it is this request's turn; counts."""
        if self.method not in ("", method) or not re.search(self.where, path):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if (self.times is not None and self.hits >= self.times) or chance >= self.share:
            return False
        self.hits += 1
        return True


@dataclass
class FaultyS3:
    """The proxy; `rules` may be changed at any time. The first that matches decides."""

    server: S3Server
    rules: list[Rule] = field(default_factory=list)
    seed: int = 0
    seen: list[tuple[str, str]] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)

    def plan(self, *rules: Rule) -> tuple[Rule, ...]:
        """From now on these alone."""
        with self._lock:
            self.rules = list(rules)
        return rules

    def rule_for(self, method: str, path: str) -> Rule | None:
        """What happens to this request."""
        with self._lock:
            self.seen.append((method, path))
            chance = self._chance.random()
            return next((r for r in self.rules if r.matches(method, path, chance)), None)


class _Reset(Exception):
    """The connection is to break."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    faulty: FaultyS3

    def _any(self) -> None:
        rule = self.faulty.rule_for(self.command, self.path)
        try:
            self._carry(rule.act if rule else "", rule or Rule("delay"))
        except _Reset:
            reset_on_close(self.connection)
            self.close_connection = True
        except (OSError, http.client.HTTPException):  # either side went away
            self.close_connection = True

    def _carry(self, act: str, rule: Rule) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        if act == "reset-up":
            self.rfile.read(min(size, rule.size))
            raise _Reset
        body = self._slowly(size, rule) if act == "slow-up" else self.rfile.read(size)
        if act == "delay":
            self.faulty.ended.wait(rule.seconds)
        elif act == "stall":
            self.faulty.ended.wait()
            raise _Reset
        elif act == "reset":
            raise _Reset
        if act in ("500", "503"):
            self._say(int(act), [], _ERROR.format(_CODES[act]).encode())
        elif act == "error-200":
            self._say(200, [], _ERROR.format("InternalError").encode())
        else:
            self._answer(act, rule, *self._ask(_flipped(body) if act == "flip-up" else body))

    def _slowly(self, size: int, rule: Rule) -> bytes:
        taken = bytearray()
        while len(taken) < size and not self.faulty.ended.wait(rule.seconds):
            taken += self.rfile.read(min(rule.size, size - len(taken)))
        return bytes(taken)

    def _answer(
        self, act: str, rule: Rule, status: int, headers: list[tuple[str, str]], body: bytes
    ) -> None:
        if act == "lost":
            raise _Reset
        if act == "lost-503":
            status, headers, body = 503, [], _ERROR.format("SlowDown").encode()
        elif act == "flip-down":
            body = _flipped(body)
        elif act == "cut-down":
            body = body[: len(body) // 2]
        elif act == "empty-list":
            body = re.sub(rb"<Contents>.*</Contents>", b"", body, flags=re.DOTALL)
            body = body.replace(b"<IsTruncated>true", b"<IsTruncated>false")
        elif act == "twice-list":
            body = re.sub(rb"(<Contents>.*</Contents>)", rb"\1\1", body, flags=re.DOTALL)
        self._say(status, headers, body, act, rule)

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP}
        if body or self.command in {"PUT", "POST"}:
            headers["Content-Length"] = str(len(body))
        connection = http.client.HTTPConnection("127.0.0.1", self.faulty.server.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(self.command, self.path, body or None, headers)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()

    def _say(
        self,
        status: int,
        headers: list[tuple[str, str]],
        body: bytes,
        act: str = "",
        rule: Rule | None = None,
    ) -> None:
        self.send_response_only(status)
        length = str(len(body))
        for name, value in headers:
            if name.lower() == "content-length":
                length = value if self.command == "HEAD" else length
            elif name.lower() not in _HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command == "HEAD":
            return
        if act == "reset-down" and rule is not None:
            self.wfile.write(body[: rule.size])
            self.wfile.flush()
            raise _Reset
        if act == "drip" and rule is not None:
            for at in range(0, len(body), rule.size):
                self.wfile.write(body[at : at + rule.size])
                self.faulty.ended.wait(rule.seconds)
        else:
            self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _any

    def log_message(self, *_: Any) -> None:
        """Nothing."""


def _flipped(body: bytes) -> bytes:
    at = len(body) // 2
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :] if body else body


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**17)  # a line, not a lake
        super().server_bind()

    def handle_error(self, *_: Any) -> None:
        """A client that broke its connection is a part of the plan."""


@contextlib.contextmanager
def faulty_s3(server: S3Server, seed: int = 0) -> Iterator[tuple[FaultyS3, S3Server]]:
    """The proxy, and what a client takes for the server."""
    faulty = FaultyS3(server, seed=seed)
    listener = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"faulty": faulty}))
    thread = threading.Thread(target=listener.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield faulty, S3Server(listener.server_port, server.access_key, server.secret_key)
    finally:
        faulty.ended.set()
        listener.shutdown()
        listener.server_close()
        thread.join(5)
