"""How does one customer send a request: on a socket of ours, or through libcurl? (child only)

What is plain goes the short way. What is not (TLS, an odd header, an odd cookie) is libcurl's, and
so is an answer that turns out not to be plain: it reads the same bytes, nothing is asked twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pycurl

from sre.journey.exchange import Headed, Request, Response
from sre.journey.guard import Admission, Blocked, Guard, Unresolved
from sre.journey.jar import Jar
from sre.journey.shop import origin_of
from sre.journey.transport import new_handle, refusal
from sre.journey.wire import ANY_ENCODING, LONGEST_REQUEST, header_line, target_of
from sre.loadtest.generator.curlhub import CurlHub
from sre.loadtest.generator.socketpool import Odd, SocketPool

__all__ = ["Browser", "Ways"]

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_TRACE = re.compile(r"[0-9a-f-]{1,64}")
_LONGEST_BODY = 64 * 2**10  # libcurl must be able to write it into a socket that nobody reads


class Ways:
    """Both ways of one worker. `short` False: everything is libcurl's."""

    def __init__(
        self, guard: Guard, now: Callable[[], float], pool: int, *, short: bool = True
    ) -> None:
        self.now = now
        self.curl = CurlHub(guard, now, pool)
        self.sockets = SocketPool(now, pool)
        self.short = short


class Browser:
    """One customer: cookies for the shop, none for other origins."""

    def __init__(self, ways: Ways) -> None:
        self._ways = ways
        self._handles: dict[bool, Any] = {}
        self._jar = Jar()
        self._astray = False  # its cookies are libcurl's now

    def perform(self, request: Request) -> Response:
        """One request; other greenlets run meanwhile. Never raises for what the target does."""
        ways = self._ways
        if not ways.short or (self._astray and request.credentials):
            return self._by_curl(request)
        place = place_of(request.url)
        wire = self._wire(request, place) if place is not None else None
        if wire is None or place is None:
            return self._by_curl(request)
        started = ways.now()
        try:
            admission = ways.curl.admit(request)
        except (Blocked, Unresolved) as refused:
            return refusal(refused, started)
        keep = self._keep if request.credentials else None
        answer = ways.sockets.perform(request, wire, admission, started, keep)
        return self._odd(request, admission, answer) if isinstance(answer, Odd) else answer

    def forget(self) -> None:
        """Drop all cookies: the next customer is another one."""
        self._jar.clear()
        self._astray = False
        for handle in self._handles.values():
            handle.setopt(pycurl.COOKIELIST, "ALL")

    def _wire(self, request: Request, place: Place) -> bytes | None:
        """The request as it is sent, as libcurl would write it; None: it is libcurl's."""
        body = request.body
        if request.method not in _METHODS or (body is not None and len(body) > _LONGEST_BODY):
            return None
        headers = _written(request.headers)
        if headers is None:
            return None
        parts = [request.method.encode(), place.opening]
        if request.credentials and self._jar:
            cookies = self._jar.header(place.host, place.path)
            if cookies:
                parts.append(b"Cookie: %s\r\n" % cookies.encode())
        parts += headers
        if body is not None:
            parts.append(b"Content-Length: %d\r\n" % len(body))
        parts.append(b"\r\n")
        if body:
            parts.append(body)
        wire = b"".join(parts)
        return wire if len(wire) - len(body or b"") < LONGEST_REQUEST else None

    def _keep(self, request: Request, answer: Headed) -> bool:
        place = place_of(request.url)
        assert place is not None  # noqa: S101  it was asked there
        lines = answer.header_values("set-cookie")
        return self._jar.keep(place.host, place.path, lines, answer.header("date"))

    def _odd(self, request: Request, admission: Admission, odd: Odd) -> Response:
        if odd.line is None:
            response = self._ways.curl.transfer(
                self._handle(request), request, admission, odd.started
            )
        else:
            response = self._ways.curl.tell(self._handle(request), request, admission, odd)
        self._settle(request)
        return response

    def _by_curl(self, request: Request) -> Response:
        response = self._ways.curl.perform(self._handle(request), request)
        self._settle(request)
        return response

    def _handle(self, request: Request) -> Any:
        """libcurl's handle for it, with this customer's cookies or with none."""
        handle = self._handles.get(request.credentials)
        if handle is None:
            handle = self._handles[request.credentials] = new_handle()
        if request.credentials and not self._astray:
            self._astray = True
            for line in self._jar.lines():
                handle.setopt(pycurl.COOKIELIST, line)
        return handle

    def _settle(self, request: Request) -> None:
        """After libcurl: it keeps the cookies that it alone understands."""
        handle = self._handles[request.credentials]
        if request.credentials:
            if not request.url.startswith("http:"):
                return
            known = sorted(handle.getinfo(pycurl.INFO_COOKIELIST))
            self._astray = known != sorted(self._jar.lines())
            if self._astray:
                return
        handle.setopt(pycurl.COOKIELIST, "ALL")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request goes. `opening`: what follows its method, up to the user's headers."""

    host: str
    path: str
    opening: bytes


@lru_cache(maxsize=4096)
def place_of(url: str) -> Place | None:
    """None: libcurl would write this address in another way."""
    target = target_of(url)
    if target is None:
        return None
    opening = b" %s HTTP/1.1\r\nHost: %s\r\n" % target
    path = target[0].partition(b"?")[0].decode()
    encodings = b"Accept-Encoding: %s\r\n" % ANY_ENCODING
    return Place(origin_of(url)[1], path, opening + encodings)


@lru_cache(maxsize=4096)
def _line(header: tuple[str, str]) -> bytes | None:
    name, value = header
    known = header_line((f"{name}: {value}" if value else f"{name};").encode())
    return None if known is None else known[1]


def _written(headers: tuple[tuple[str, str], ...]) -> list[bytes] | None:
    parts: list[bytes] = []
    for header in headers:
        if header[0] == "traceparent" and _TRACE.fullmatch(header[1]):  # another one each time
            parts.append(b"traceparent: %s\r\n" % header[1].encode())
            continue
        line = _line(header)
        if line is None:
            return None
        parts.append(line)
    return parts
