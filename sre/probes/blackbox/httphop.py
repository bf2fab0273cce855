"""How is one request of an http module sent through libcurl, and what came back?

Phases follow blackbox_exporter: processing counts from the moment the connection (with its TLS) is
there, transfer from the first byte of the answer.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pycurl

from sre.journey.guard import Admission
from sre.probes.blackbox.httpbody import Body, Unreadable
from sre.probes.blackbox.tlsfacts import sent_chain
from sre.probes.httpoptions import HttpOptions, Session, apply
from sre.probes.x509 import Certificate

__all__ = ["Answer", "Hop", "Proxied", "handle", "perform"]

_IDLE: deque[tuple[Any, float]] = deque(maxlen=64)
"""Handles between two probes: libcurl keeps the parsed authorities, 5 ms of work, in a handle."""

_KEPT = 300.0  # seconds, so that a new file of authorities is seen

_STATUS = re.compile(rb"HTTP/(\d(?:\.\d)?) (\d{3})")
_PROTOCOLS = {1: "HTTP/1.0", 2: "HTTP/1.1", 3: "HTTP/2.0", 30: "HTTP/3.0"}
_MOST_HEADERS = 2**20
_BODYLESS = ("GET", "HEAD", "OPTIONS", "TRACE", "DELETE", "CONNECT")


@dataclass(frozen=True)
class Proxied:
    """The proxy on the way: its address as admitted, and what it is told in CONNECT."""

    url: str
    headers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hop:
    """One request.

    Attributes:
        url: what libcurl is given; its host is the name that TLS asks for.
        admission: where it connects; None leaves that to the proxy.
        headers: (name, value) as they go out; an empty value sends an empty header.
        http2_at_once: speak HTTP/2 without TLS and without asking, as gRPC does.
    """

    url: str
    admission: Admission | None
    method: str
    headers: Sequence[tuple[str, str]]
    body: bytes | None = None
    options: HttpOptions = field(default_factory=HttpOptions)
    proxy: Proxied | None = None
    http2_at_once: bool = False

    @property
    def tls(self) -> bool:
        return self.url.startswith("https:")


@dataclass
class Answer:
    """What came back.

    Attributes:
        status: 0 when there was no answer.
        error: why the transfer ended early, empty when it did not.
        phases: those that happened.
        unread: the body was left where it was: another request follows, or none may.
        session: libcurl's words for the TLS session, empty without one.
    """

    body: Body
    status: int = 0
    protocol: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    error: str = ""
    phases: dict[str, float] = field(default_factory=dict)
    unread: bool = False
    tls: bool = False
    chain: list[Certificate] = field(default_factory=list)
    session: str = ""

    def header(self, name: str) -> str | None:
        """The first value of a header."""
        return next(iter(self.values(name)), None)

    def values(self, name: str) -> list[str]:
        """All values of a header, in order."""
        return [value for key, value in self.headers if key == name.lower()]


class _Receiver:
    """libcurl's callbacks for one answer."""

    def __init__(self, answer: Answer, leaves: Callable[[Answer], bool]) -> None:
        self.answer, self.leaves = answer, leaves
        self.size = 0
        self.trouble = ""

    def header(self, line: bytes) -> int | None:
        self.size += len(line)
        if self.size > _MOST_HEADERS:
            self.trouble = f"more than {_MOST_HEADERS} bytes of headers"
            return -1
        found = _STATUS.match(line)
        if found:
            self.answer.headers.clear()
            self.answer.status = int(found[2])
        elif b":" in line:
            name, _, value = line.decode("latin-1").partition(":")
            self.answer.headers.append((name.strip().lower(), value.strip()))
        elif not line.strip() and self.leaves(self.answer):
            self.answer.unread = True
            return -1
        return None

    def body(self, chunk: bytes) -> int | None:
        try:
            self.answer.body.take(chunk)
        except Unreadable as error:
            self.trouble = str(error)
            return -1
        return None


@contextlib.contextmanager
def handle() -> Iterator[Any]:
    """A libcurl handle without cookies and connections of whoever had it before."""
    now = time.monotonic()
    try:
        curl, born = _IDLE.pop()
    except IndexError:
        curl, born = pycurl.Curl(), now
    if now - born > _KEPT:
        curl.close()
        curl, born = pycurl.Curl(), now
    try:
        yield curl
    finally:
        curl.reset()
        curl.setopt(pycurl.COOKIELIST, "ALL")
        _IDLE.append((curl, born))


def perform(
    curl: Any, hop: Hop, seconds: float, body: Body, leaves: Callable[[Answer], bool]
) -> Answer:
    """Send one request and take its answer. Never raises for the target.

    Args:
        seconds: how long it may take.
        leaves: asked once the headers are there: whether the body is to be left alone.

    Raises:
        UsageError: a secret that the connection needs cannot be read.
    """
    answer = Answer(body)
    receiver = _Receiver(answer, leaves)
    session = Session()
    _prepare(curl, hop, session if hop.tls else None)
    curl.setopt(pycurl.TIMEOUT_MS, max(1, int(seconds * 1000)))
    curl.setopt(pycurl.WRITEFUNCTION, receiver.body)
    curl.setopt(pycurl.HEADERFUNCTION, receiver.header)
    try:
        curl.perform()
    except pycurl.error as error:
        answer.error = receiver.trouble or str(error.args[-1])
    _finish(curl, hop, answer, session)
    return answer


def _prepare(curl: Any, hop: Hop, session: Session | None) -> None:
    curl.reset()
    setopt = curl.setopt
    apply(curl, hop.options, session)
    if hop.http2_at_once:
        setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE)
    setopt(pycurl.URL, hop.url)
    setopt(pycurl.PATH_AS_IS, 1)
    setopt(pycurl.NOSIGNAL, 1)
    setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
    setopt(pycurl.FOLLOWLOCATION, 0)
    setopt(pycurl.COOKIEFILE, "")
    setopt(pycurl.PROXY, hop.proxy.url if hop.proxy else "")
    if hop.proxy and hop.proxy.headers:
        setopt(pycurl.PROXYHEADER, [header.encode("utf-8") for header in hop.proxy.headers])
        setopt(pycurl.HEADEROPT, pycurl.HEADER_SEPARATE)
    if hop.admission is not None:
        setopt(pycurl.CONNECT_TO, [f"::{hop.admission.authority}"])
    _set_request(curl, hop)


def _set_request(curl: Any, hop: Hop) -> None:
    sent = {name.lower() for name, _ in hop.headers}
    lines = [f"{name}: {value}" if value else f"{name};" for name, value in hop.headers]
    unset = ("Accept", "Accept-Encoding", "Content-Type", "Expect")
    lines += [f"{name}:" for name in unset if name.lower() not in sent]
    curl.setopt(pycurl.HTTPHEADER, [line.encode("utf-8") for line in lines])
    body = hop.body
    if body is None and hop.method not in _BODYLESS:
        body = b""
    if hop.method == "HEAD":
        curl.setopt(pycurl.NOBODY, 1)
    elif body is not None:
        curl.setopt(pycurl.POST, 1)
        curl.setopt(pycurl.POSTFIELDS, body)
    if hop.method not in ("GET", "HEAD") or body is not None:
        curl.setopt(pycurl.CUSTOMREQUEST, hop.method)


def _finish(curl: Any, hop: Hop, answer: Answer, session: Session) -> None:
    if answer.unread:
        answer.error = ""
    elif not answer.error:
        with contextlib.suppress(Unreadable):
            answer.error = "the body cannot be read"
            answer.body.finish()
            answer.error = ""
    answer.phases = _phases(curl, hop, answered=answer.status > 0)
    if not answer.status:
        return
    answer.protocol = _PROTOCOLS.get(curl.getinfo(pycurl.INFO_HTTP_VERSION), "")
    answer.tls = hop.tls
    if hop.tls:
        answer.chain = sent_chain(curl.getinfo(pycurl.INFO_CERTINFO))
        answer.session = " / ".join(word for word in (session.version, session.cipher) if word)


def _phases(curl: Any, hop: Hop, *, answered: bool) -> dict[str, float]:
    info = curl.getinfo
    connect, tls = info(pycurl.CONNECT_TIME), info(pycurl.APPCONNECT_TIME)
    first = info(pycurl.STARTTRANSFER_TIME)
    if connect <= 0 or (hop.tls and tls <= 0):
        return {}  # as blackbox_exporter: no connection, no phases
    phases = {"connect": max(0.0, connect - info(pycurl.NAMELOOKUP_TIME))}
    if hop.tls:
        phases["tls"] = tls - connect
    if answered and first > 0:
        phases["processing"] = max(0.0, first - max(connect, tls))
        phases["transfer"] = max(0.0, info(pycurl.TOTAL_TIME) - first)
    return phases
