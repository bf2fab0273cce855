"""Is everybody heard who asks properly, whoever else is connected?"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import requests

from sre.core.web.callers import Callers
from sre.core.web.config import Web
from sre.core.web.server import HttpServer, _is_loopback
from sre.probes.serve import Pages

HEAD = b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n"


@contextmanager
def serving(most: int = 4, patience: float = 30.0) -> Iterator[HttpServer]:
    """A server that counts its reloads in `reloads`."""
    reloads: list[None] = []

    def reload() -> str | None:
        reloads.append(None)
        return None

    pages = Pages(lambda _accept: ((b"up 1\n",), "text/plain"), lambda: True, reload, list)
    server = HttpServer(("127.0.0.1", 0), pages)
    server.callers = Callers(most, patience)
    server.reloads = reloads  # type: ignore[attr-defined]
    server.start()
    try:
        yield server
    finally:
        server.stop()


def connect(stack: ExitStack, server: HttpServer, said: bytes) -> socket.socket:
    made = stack.enter_context(socket.create_connection(server.server_address[:2], 10))
    made.sendall(said)
    return made


def until_end(connection: socket.socket) -> bytes:
    """What the server says until it hangs up."""
    said = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            said += piece
    return said


@pytest.mark.parametrize("said", [b"", HEAD, HEAD + b"\r\n"], ids=["silent", "slow", "kept"])
def test_who_is_waited_for_longest_makes_room(said: bytes) -> None:
    with serving() as server, ExitStack() as stack:
        others = [connect(stack, server, said) for _ in range(8)]
        assert requests.get(f"{server.url}/metrics", timeout=5).text == "up 1\n"
        until_end(others[0])


def test_a_request_that_drips_is_cut_in_its_time() -> None:
    with serving(patience=1.0) as server, ExitStack() as stack:
        drip = connect(stack, server, HEAD)
        drip.settimeout(0.1)
        began, ended = time.monotonic(), False
        while not ended and time.monotonic() - began < 10:
            with contextlib.suppress(TimeoutError):
                try:
                    drip.sendall(b"X: y\r\n")
                    ended = not drip.recv(1)
                except ConnectionError:
                    ended = True
        assert ended
        assert 1 <= time.monotonic() - began < 6


def test_nobody_is_cut_while_being_answered() -> None:
    now = [0.0]
    here, there = socket.socketpair()
    with here, there:
        callers = Callers(1, 30.0, lambda: now[0])
        assert callers.enter(here)
        callers.of(here).asks()
        now[0] = 1000.0
        callers.sweep()
        assert not callers.enter(there), "and nobody makes room"
        assert here.send(b"the answer") == 10
        callers.leave(here)
        assert callers.enter(there)


@pytest.mark.parametrize("method", [b"GET", b"PUT", b"OPTIONS"])
def test_a_body_is_never_taken_for_the_next_request(method: bytes) -> None:
    hidden = b"POST /-/reload HTTP/1.1\r\nHost: x\r\n\r\n"
    for length in (b"Content-Length: %d" % len(hidden), b"Transfer-Encoding: chunked"):
        said = method + b" /-/healthy HTTP/1.1\r\nHost: x\r\n" + length + b"\r\n\r\n" + hidden
        with serving() as server, ExitStack() as stack:
            asking = connect(stack, server, said)
            asking.shutdown(socket.SHUT_WR)
            assert until_end(asking).count(b"HTTP/1.1 ") == 1
            assert server.reloads == []  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("method", "path", "status", "allowed"),
    [
        ("PUT", "/metrics", 405, "GET"),
        ("DELETE", "/-/reload", 405, "POST"),
        ("OPTIONS", "/", 405, "GET"),
        ("PATCH", "/nothing", 404, None),
        ("GET", "/-/reload", 405, "POST"),
        ("POST", "/metrics", 405, "GET"),
    ],
)
def test_a_method_without_a_use_is_told_so(
    method: str, path: str, status: int, allowed: str | None
) -> None:
    with serving() as server:
        answer = requests.request(method, server.url + path, data="abc", timeout=5)
    assert (answer.status_code, answer.headers.get("Allow")) == (status, allowed)


def test_strangers_from_elsewhere_may_not_reload() -> None:
    with serving() as server:
        assert requests.post(f"{server.url}/-/reload", timeout=5).ok
        assert server.pages.post("/-/reload", near=False).status == 403
        assert len(server.reloads) == 1  # type: ignore[attr-defined]
    near = {host: _is_loopback(host) for host in ("127.0.0.1", "::1", "::ffff:127.0.0.1")}
    assert near == dict.fromkeys(near, True)
    assert not any(map(_is_loopback, ("192.0.2.1", "::ffff:192.0.2.1", "fe80::1%eth0")))


def test_a_slow_hello_over_tls_holds_up_nobody(tls_servers, tmp_path) -> None:
    web = tmp_path / "web.yml"
    cert, key = tls_servers.cert_file("good"), tls_servers.key_file("good")
    web.write_text(f"tls_server_config: {{cert_file: {cert}, key_file: {key}}}\n")
    with serving() as server, ExitStack() as stack:
        server.web = Web(web)
        silent = [connect(stack, server, b"\x16\x03\x01") for _ in range(8)]
        answer = requests.get(f"{server.url}/-/healthy", timeout=5, verify=tls_servers.ca_file)
        assert answer.ok
        until_end(silent[0])
