"""Is a run over a socket of ours the same as libcurl's, whatever the other side answers?"""

from __future__ import annotations

import gzip
import re
import socket
import struct
import threading
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from sre.journey.exchange import Request
from sre.journey.result import Outcome, Reason
from sre.journey.wire import LARGEST, Found, Unfit, read
from sre.probes import httpbridge
from sre.probes.httpoptions import HttpOptions
from sre.probes.httpwire import opening_of
from sre.probes.kinds.http import HttpProbe
from tests.servers.onloop import context, on_loop
from tests.unit.probes.test_http_ways import shape

OK = b"HTTP/1.1 200 OK\r\n"
ZIPPED = gzip.compress(b"hello " * 50)
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n"
DEFLATED = zlib.compress(b"hello")


def sized(body: bytes, *more: bytes) -> bytes:
    lines = b"".join(line + b"\r\n" for line in more)
    return OK + lines + b"Content-Length: %d\r\n\r\n" % len(body) + body


PLAIN: dict[str, list[bytes]] = {
    "sized": [sized(b"hello", b"Content-Type: text/plain")],
    "in pieces": [OK, b"Content-Length: 5\r\n\r", b"\nhel", b"lo"],
    "more than was told": [sized(b"hello") + b"rest"],
    "empty": [sized(b"")],
    "until it closes": [OK + b"\r\nhello"],
    "of 1.0": [b"HTTP/1.0 200 OK\r\n\r\nhello"],
    "no reason": [b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"],
    "204": [b"HTTP/1.1 204 No Content\r\n\r\n"],
    "404": [b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno!"],
    "429": [b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n"],
    "chunked": [CHUNKED + b"\r\n5\r\nhello\r\n0\r\n\r\n"],
    "chunked in pieces": [CHUNKED + b"\r\n", b"5\r", b"\nhel", b"lo\r\n0", b"\r\n\r", b"\n"],
    "gzip": [sized(ZIPPED, b"Content-Encoding: gzip")],
    "gzip chunked": [
        CHUNKED + b"Content-Encoding: gzip\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(ZIPPED), ZIPPED)
    ],
    "modified": [sized(b"x", b"Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT")],
}

ODD: dict[str, list[bytes]] = {
    "nothing": [],
    "half a head": [OK + b"Content-Le"],
    "half a body": [OK + b"Content-Length: 9\r\n\r\nhello"],
    "half of the chunks": [CHUNKED + b"\r\n5\r\nhel"],
    "bad chunk": [CHUNKED + b"\r\nxyz\r\nhello\r\n0\r\n\r\n"],
    "chunk extension": [CHUNKED + b"\r\n5;a=b\r\nhello\r\n0\r\n\r\n"],
    "trailer": [CHUNKED + b"\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"],
    "line feeds": [b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello"],
    "folded": [sized(b"hello", b"X-A: b\r\n c")],
    "two lengths": [sized(b"hello", b"Content-Length: 4")],
    "same length twice": [sized(b"hello", b"Content-Length: 5")],
    "negative length": [OK + b"Content-Length: -5\r\n\r\nhello"],
    "length and chunks": [sized(b"5\r\nhello\r\n0\r\n\r\n", b"Transfer-Encoding: chunked")],
    "no colon": [sized(b"hello", b"what is this")],
    "continue": [b"HTTP/1.1 100 Continue\r\n\r\n" + sized(b"hello")],
    "early hints": [b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", sized(b"hello")],
    "304": [b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"],
    "205": [b"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n"],
    "204 with a length": [b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello"],
    "600": [b"HTTP/1.1 600 What\r\nContent-Length: 0\r\n\r\n"],
    "version 2.0": [b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"],
    "another protocol": [b"SSH-2.0-OpenSSH_9.2p1\r\n"],
    "a redirect to nowhere": [b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"],
    "deflate": [sized(DEFLATED, b"Content-Encoding: deflate")],
    "unknown encoding": [sized(b"hello", b"Content-Encoding: rot13")],
    "gzip that is none": [sized(b"hello", b"Content-Encoding: gzip")],
    "half a gzip": [sized(ZIPPED[:20], b"Content-Encoding: gzip")],
    "large": [sized(b"x" * (LARGEST + 1))],
    "NUL in the head": [sized(b"hello", b"X-A: a\0b")],
}


class Scripted:
    """Reads a request, sends what it was told, in pieces, and ends as it was told."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.reset = False
        self.asked: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.asked.append(connection.recv(65536))
        try:
            for number, piece in enumerate(self.pieces):
                if number:
                    threading.Event().wait(0.02)
                connection.sendall(piece)
        except OSError:
            return
        if self.reset:
            threading.Event().wait(0.05)
            now = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)

    def close(self) -> None:
        self._listener.close()


@pytest.fixture(scope="module")
def scripted() -> Iterator[Scripted]:
    server = Scripted()
    yield server
    server.close()


@pytest.fixture
def crossed(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Each answer that was left to libcurl."""
    found: list[object] = []

    def bridge(*parts: Any) -> Any:
        found.append(parts)
        return made(*parts)

    made = httpbridge.Bridge
    monkeypatch.setattr(httpbridge, "Bridge", bridge)
    return found


def both(made: HttpProbe, seconds: float = 3.0) -> dict[str, Any]:
    """What it finds on each way, if that is the same."""
    thread = shape(made.check(context(seconds)))
    (curl,) = on_loop((made, context(seconds)), raw=False)
    its = context(seconds)
    (raw,) = on_loop((made, its))
    assert shape(curl) == thread
    assert shape(raw) == thread
    return thread


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_answer_is_read_by_us(name: str, scripted: Scripted, crossed: list[object]):
    scripted.pieces, scripted.reset = PLAIN[name], False
    made = HttpProbe(f"http://127.0.0.1:{scripted.port}/a", body_limit=2000)
    found = both(made)
    assert crossed == []
    assert found["status"] == int(PLAIN[name][0][9:12])
    both(HttpProbe(made.url, expect={"status": ["200..299", 404], "contains": "hello"}))


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("name", ODD)
def test_any_other_answer_is_read_by_libcurl(
    name: str, reset: bool, scripted: Scripted, crossed: list[object]
):
    scripted.pieces, scripted.reset = ODD[name], reset
    url = f"http://127.0.0.1:{scripted.port}/a"
    both(HttpProbe(url, body_limit=300_000))
    assert len(crossed) == 1


@pytest.mark.parametrize(
    ("pieces", "limit"),
    [
        ([sized(b"x" * 301)], 300),
        ([OK + b"\r\n" + b"x" * 301], 300),
        ([CHUNKED + b"\r\n12d\r\n" + b"x" * 301 + b"\r\n0\r\n\r\n"], 300),
        ([sized(gzip.compress(b"x" * 301), b"Content-Encoding: gzip")], 300),
        ([sized(b"hello", b"Content-Encoding: gzip")], 4),
    ],
)
def test_a_body_over_the_limit(pieces: list[bytes], limit: int, scripted: Scripted):
    scripted.pieces, scripted.reset = pieces, False
    found = both(HttpProbe(f"http://127.0.0.1:{scripted.port}/a", body_limit=limit))
    assert found["verdict"] == "failed body"


def test_no_room_for_a_bridge_is_our_own_fault(scripted: Scripted, monkeypatch: pytest.MonkeyPatch):
    def full() -> Any:
        raise OSError(24, "Too many open files")

    scripted.pieces, scripted.reset = ODD["continue"], False
    monkeypatch.setattr(httpbridge.socket, "socketpair", full)
    (reading,) = on_loop((HttpProbe(f"http://127.0.0.1:{scripted.port}/"), context()))
    assert reading.reason is Reason.PROBER
    assert reading.message == "cannot open a socket: Too many open files"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_a_closed_port(host: str, crossed: list[object]):
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as taken:
        taken.bind((host.strip("[]").replace("localhost", "127.0.0.1"), 0))
        found = both(HttpProbe(f"http://{host}:{taken.getsockname()[1]}/"))
    assert found["verdict"] == "failed connect"
    assert crossed == []


@pytest.mark.parametrize("accepting", [True, False])
def test_a_server_that_never_answers(accepting: bool):
    with socket.create_server(("127.0.0.1", 0), backlog=8 if accepting else 0) as server:
        fill = [socket.socket() for _ in range(0 if accepting else 8)]
        for one in fill:
            one.setblocking(False)
            one.connect_ex(server.getsockname())
        found = both(HttpProbe(f"http://127.0.0.1:{server.getsockname()[1]}/"), 0.3)
        for one in fill:
            one.close()
    assert found["verdict"] == "failed timeout"
    assert ("connecting" in found["message"]) is not accepting


@pytest.mark.parametrize(
    ("target", "fields"),
    [
        ("", {}),
        ("/", {}),
        ("/a/b.html?x=1&y=/z?", {}),
        ("/a", {"compress": "none"}),
        ("/a", {"compress": "gzip"}),
        ("/a", {"http_version": "1.1"}),
        ("/a", {"headers": {"Accept": "text/html", "X-Empty": "", "User-Agent": "me/1 (x)"}}),
        ("/a", {"headers": {"X-Synthetic": "theirs"}}),
        ("/a b/../ü?x=%41", {}),
        ("/a", {"headers": {"Host": "other.test"}}),
        ("/a", {"headers": {"Accept-Encoding": "identity", "Referer": "x", "Cookie": "a=b"}}),
        ("/a", {"http_version": "1.0"}),
        ("/a", {"basic_auth": {"username": "u", "password": "plain"}}),
    ],
)
def test_the_request_is_libcurls_to_the_byte(
    target: str, fields: dict[str, Any], scripted: Scripted
):
    scripted.pieces, scripted.reset = [sized(b"")], False
    if "basic_auth" in fields:
        fields = {"headers": {"Authorization": "Basic dTpwbGFpbg=="}}
    made = HttpProbe(f"http://127.0.0.1:{scripted.port}{target}", **fields)
    del scripted.asked[:]
    for raw in (True, False):
        (reading,) = on_loop((made, context()), raw=raw)
        assert reading.outcome is Outcome.OK
    ours, theirs = (re.sub(rb"sre/[0-9a-f]{16}", b"sre/RUN", one) for one in scripted.asked)
    assert ours == theirs


def test_what_libcurl_would_write_in_another_way_is_left_to_it():
    lines = [b"User-Agent: me", b"Accept: */*"]

    def written(url: str, *more: bytes, **options: Any) -> bytes | None:
        return opening_of(Request("GET", url), HttpOptions(**options), [*lines, *more])

    assert written("http://shop.test:80/a") == (
        b"GET /a HTTP/1.1\r\nHost: shop.test\r\nAccept-Encoding: deflate, gzip, br\r\n"
        b"User-Agent: me\r\nAccept: */*\r\n"
    )
    urls = [
        "https://shop.test/", "http://u:p@shop.test/", "http://127.1/", "http://0x7f000001/",
        "http://shop.test/./a", "http://shop.test/%2e", "http://shop.test/a?", "http://sh op/",
        "http://[::ffff:127.0.0.1]/", "http://[0:0::1]/", "http://shop.test:080/", "http://a..b/",
    ]  # fmt: skip
    assert [url for url in urls if written(url) is not None] == []
    for header in (b"Host: a", b"Connection: x", b"TE: trailers", b"Cookie: a=b", b"X: \xc3\xbc"):
        assert written("http://shop.test/", header) is None
    assert written("http://shop.test/", keep_alive=True) is None
    assert written("http://shop.test/", http_version="1.0") is None
    assert opening_of(Request("HEAD", "http://a/"), HttpOptions(), lines) is None
    assert opening_of(Request("GET", "http://a/"), HttpOptions(), lines[:1]) is None


@pytest.mark.parametrize("name", ["sized", "chunked", "gzip", "gzip chunked"])
def test_no_part_of_an_answer_is_taken_for_all_of_it(name: str):
    data = b"".join(PLAIN[name])
    for length in range(len(data)):
        found = read(data[:length], ended=False, limit=2000, decode=True)
        assert found is Unfit.MORE, data[:length]
        assert read(data[:length], ended=True, limit=2000, decode=True) is Unfit.UNUSUAL
    whole = read(data, ended=False, limit=2000, decode=True)
    assert isinstance(whole, Found)
    assert whole.body in (b"hello", b"hello " * 50)
