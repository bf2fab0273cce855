"""Is an answer the same on a socket of ours as through libcurl, whatever the shop says?"""

from __future__ import annotations

import socket
import struct
import threading
from collections import defaultdict
from dataclasses import replace
from urllib.parse import parse_qs, quote

import pytest

from sre.journey.build import clean
from sre.journey.exchange import Request, Response
from sre.journey.result import Reason
from tests.servers.hostile import Hostile
from tests.servers.hostile_exchange import read_request
from tests.servers.loadways import ask, told
from tests.unit.probes.test_http_raw import ODD, PLAIN, sized

CASE = "X-Case"
HEADERS = (("User-Agent", "me/1"), ("Accept", "*/*"))
MIB = 2**20
KEPT = "on a connection that was kept:"  # where libcurl finds other words for some troubles


class Scripted:
    """Answers each path as the script says, keeps the connection, and notes what it was asked."""

    def __init__(self) -> None:
        self.seen: dict[str, list[tuple[object, ...]]] = defaultdict(list)
        self.scripts = {f"/plain/{n}": p for n, p in enumerate(PLAIN.values())}
        self.scripts |= {f"/odd/{n}": p for n, p in enumerate(ODD.values())}
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        rest, turns = bytearray(), 0
        with connection:
            try:
                while (seen := read_request(connection, rest, 0)) is not None:
                    turns += 1
                    case = seen.header(CASE) or ""
                    headers = sorted((name, value) for name, value in seen.headers if name != CASE)
                    self.seen[case].append((seen.method, seen.target, headers, seen.body))
                    if not self._answer(connection, seen.path, seen.query, turns):
                        return
            except OSError:
                return

    def _answer(self, connection: socket.socket, path: str, query: str, turns: int) -> bool:
        told = {name: values[0] for name, values in parse_qs(query).items()}
        if path == "/gone" and turns > 1:  # takes the request and goes away without a word
            return self._end(connection, told.get("end", "close"))
        lines = [f"Set-Cookie: {one}".encode() for one in parse_qs(query).get("cookie", [])]
        lines.append(b"Date: Sun, 22 Nov 2026 08:00:00 GMT")
        for number, piece in enumerate(self.scripts.get(path, [sized(b"hello", *lines)])):
            if number:
                threading.Event().wait(0.02)
            connection.sendall(piece)
        return self._end(connection, told.get("end", "keep"))

    def _end(self, connection: socket.socket, end: str) -> bool:
        if end == "reset":
            threading.Event().wait(0.05)
            now = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
        return end == "keep"


COOKIES = [
    "a=1", "a=1; Path=/", "a=1; Path=/in", "a=1; path=/in/", "a=1; Path=/in/deep", "a=1; HttpOnly",
    "a=1; Path=/; SameSite=Lax; HttpOnly", "a=1; Secure", "a=1; Domain=127.0.0.1", "a=",
    "a=1; Max-Age=0", "a=1; Max-Age=100", "a=1; Max-Age=864000", "a=\"q\"", "a=1 2", "__Host-a=1",
    "__Secure-a=1", "a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "a", "=1", " a = 1 ",
    "a=1; Expires=Sun, 22 Nov 2037 08:00:00 GMT; Path=/", "a=1; Path=relative", "a=1;;Path=/",
    "a=1; Domain=example.test", "a=1; Path=/; Path=/in", "a=1,2=3", "a=1; Partitioned", "A=1",
    "a=" + "x" * 4090, "a=1; Expires=nonsense", "a=1; Max-Age=-1", "a=ü", "a=1; unknown=x",
]  # fmt: skip


def customers(scripted: Scripted, hostile: Hostile) -> dict[str, list[Request]]:
    found: dict[str, list[Request]] = {}

    def add(name: str, *requests: Request) -> None:
        found[name] = [replace(r, headers=(*r.headers, (CASE, name))) for r in requests]

    def get(url: str, **more: object) -> Request:
        fields = {"method": "GET", "url": clean(url), "headers": HEADERS, "timeout": 3.0} | more
        return Request(**fields)  # type: ignore[arg-type]

    plain = get(f"{scripted.url}/a")
    for path in scripted.scripts:
        for end in ("keep", "close", "reset"):
            if end == "reset" and sum(map(len, scripted.scripts[path])) > MIB // 8:
                continue  # how much of it is read before the reset is chance
            seconds = 1.0 if end == "keep" else 3.0
            once = get(f"{scripted.url}{path}?end={end}", timeout=seconds, body_limit=300_000)
            add(f"{path} {end}", once, plain)
            add(f"{KEPT} {path} {end}", plain, once, plain)
    for page in (
        "/", "/status/404", "/status/503", "/status/429", "/status/302?location=/x", "/latin1",
        "/empty-200", "/http10", "/json?a=1", "/big?kb=320", "/big?kb=1500", "/half", "/reset",
        "/bad-gzip", "/garbage", "/redirect?to=/x", "/loop",
    ):  # fmt: skip
        add(f"hostile {page}", get(hostile.url + page), get(hostile.url + "/status/200"))
    for page in ("/never", "/drip", "/slow-headers?ms=20000", "/delay?first=5000"):
        add(f"hostile {page}", get(hostile.url + page, timeout=0.5), get(hostile.url + "/"))
    for page in ("/gigabyte?mb=8", "/bomb?mb=8", "/headers-flood", "/big?kb=320"):
        add(f"limit {page}", get(hostile.url + page, body_limit=MIB // 8), get(hostile.url + "/"))
    for method in ("POST", "PUT", "PATCH", "DELETE", "GET", "HEAD", "OPTIONS"):
        for body in (None, b"", b"a=1&b=2", b"x" * 70_000, b"\0\r\n\r\n"):
            kind = (("Content-Type", "application/x-www-form-urlencoded"),) if body else ()
            asked = get(plain.url, method=method, body=body, headers=HEADERS + kind)
            add(f"{method} {body and len(body)}", plain, asked, plain)
    for number, more in enumerate(
        [
            ("Referer", "http://x/"), ("X-Empty", ""), ("X-Ü", "1"), ("X-A", "ü"),
            ("Cookie", "b=2"),
            ("Host", "other.test"), ("Accept-Encoding", "identity"), ("Connection", "close"),
            ("TE", "trailers"), ("X-Space", " a "), ("Range", "bytes=0-1"), ("Expect", "x"),
        ]
    ):  # fmt: skip
        add(f"header {number}", get(plain.url, headers=(*HEADERS, more)), plain)
    for path in ("", "/a b", "/ü", "/../a", "/a?", "/a?x=%41&y=a b", "/%2e/", "/a#b", "/a?x=/../"):
        add(f"path {path}", get(scripted.url + path), plain)
    _add_cookies(add, get, scripted.url)
    once = get(plain.url, keep_alive=False)
    add("not kept", once, once, plain)
    other = get(f"{scripted.url}/a?cookie=a%3D1", credentials=False)
    add("not ours", other, plain, other)
    closed = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{closed.getsockname()[1]}/"
    closed.close()
    add("closed port", get(address), plain)
    add("not on the list", get("http://192.0.2.1/"), plain)
    return found


def _add_cookies(add: object, get: object, url: str) -> None:
    asks = ("/a", "/in", "/in/", "/in/deep/x", "/inside")
    for number, cookie in enumerate(COOKIES):
        for page in ("/in/set", "/set"):
            first = get(f"{url}{page}?cookie={quote(cookie)}")  # type: ignore[operator]
            later = [get(url + path) for path in asks]  # type: ignore[operator]
            add(f"cookie {number} {page}", first, *later)  # type: ignore[operator]
    several = [
        ["a=1; Path=/", "bb=2; Path=/in", "c=3; Path=/"],
        ["a=1; Path=/", "a=2; Path=/in", "longer=3; Path=/"],
        ["a=1; Path=/", "b=1; Secure", "c=2; Path=/"],
        [f"n{n}=v" for n in range(60)],
    ]
    for number, cookies in enumerate(several):
        query = "&".join(f"cookie={quote(cookie)}" for cookie in cookies)
        first = get(f"{url}/in/set?{query}")  # type: ignore[operator]
        again = get(f"{url}/set?cookie={quote('a=9; Path=/')}")  # type: ignore[operator]
        odd = get(f"{url}/set?cookie={quote('z=9; Max-Age=60')}")  # type: ignore[operator]
        last = get(f"{url}/in/deep")  # type: ignore[operator]
        add(f"cookies {number}", first, last, again, last, odd, last)  # type: ignore[operator]


Both = dict[str, tuple[list[Response], list[tuple[object, ...]]]]


@pytest.fixture(scope="module")
def ways(_hostile_pair: tuple[Hostile, Hostile]) -> tuple[Both, Both]:
    found: list[Both] = []
    scripted = Scripted()
    its = customers(scripted, _hostile_pair[0])
    for short in (True, False):
        scripted.seen.clear()
        answers = ask(its, short=short)
        found.append({name: (answers[name], scripted.seen[name]) for name in its})
    scripted.close()
    return found[0], found[1]


def differences(name: str, ours: Both, libcurls: Both) -> list[object]:
    pairs = [
        (told(one), told(other))
        for one, other in zip(ours[name][0], libcurls[name][0], strict=True)
    ]
    left_out = {"phases", "message"} if name.startswith(KEPT) else {"phases"}
    return [
        (number, key, one[key], other[key])
        for number, (one, other) in enumerate(pairs)
        for key in one
        if one[key] != other[key] and key not in left_out
    ]


def test_every_answer_is_the_same_on_both_ways(ways: tuple[Both, Both]):
    ours, libcurls = ways
    assert len(ours) > 250
    different = {name: found for name in ours if (found := differences(name, ours, libcurls))}
    assert different == {}


def test_the_shop_sees_the_same_requests_on_both_ways(ways: tuple[Both, Both]):
    ours, libcurls = ways
    different = {
        name: (ours[name][1], libcurls[name][1])
        for name in ours
        if ours[name][1] != libcurls[name][1]
    }
    assert different == {}


@pytest.mark.parametrize("short", [True, False])
def test_no_unsafe_request_is_ever_sent_twice(short: bool):
    """A kept connection takes the request and breaks: libcurl alone would ask again."""
    servers, asked = {}, {}
    for method in ("GET", "POST", "PATCH", "DELETE"):
        for end in ("close", "reset"):
            for body in (None, b"a=1"):
                name = f"{method} {end} {body!r}"
                servers[name] = server = Scripted()
                case = (*HEADERS, (CASE, name))
                last = Request(method, f"{server.url}/gone?end={end}", case, body, timeout=3.0)
                asked[name] = [Request("GET", f"{server.url}/a", case), last]
    answers = ask(asked, short=short)
    for name, server in servers.items():
        methods = [str(seen[0]) for seen in server.seen[name]]
        server.close()
        method, answer = name.split()[0], answers[name][1]
        if method == "GET":
            assert methods == ["GET", "GET", "GET"], name
            assert (answer.status, answer.failure) == (200, None), name
        else:
            assert methods == ["GET", method], name
            assert answer.failure is not None, name
            assert (answer.failure.reason, answer.failure.sent) == (Reason.PROTOCOL, True), name
