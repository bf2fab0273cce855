"""How does one request of an HTTP probe become a libcurl transfer, and its answer again?

A thread of its own (`converse`) and the scheduler's loop (`multi`) share all of it, so that a probe
finds the same on both ways.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pycurl

from sre.core.clock import Clock
from sre.journey.exchange import Request, Response
from sre.journey.guard import Admission, Blocked, Guard, Unresolved
from sre.journey.shop import origin_of
from sre.journey.sink import Sink, pinned
from sre.journey.transport import failure_of, header_lines, phases_of, refusal, set_method
from sre.probes.httpoptions import HttpOptions, Proxy, Session, Told, apply, told
from sre.probes.model import ProbeContext, Reading

__all__ = ["Answer", "Hop", "Line", "Talk", "Way", "converse"]

_NOTHING = Told()


@dataclass(frozen=True, slots=True)
class Hop:
    """One request, and how its connection is made.

    Attributes:
        keep_body: whether the body is wanted; otherwise it is read, counted and let go.
        lines: the request's headers for libcurl, where they are made already.
    """

    request: Request
    options: HttpOptions
    keep_body: bool = True
    lines: list[bytes] | None = None


@dataclass(frozen=True, slots=True)
class Headed(Response):
    """A Response whose headers are looked for in its head as it came, and only when asked for."""

    head: str = ""

    def header(self, name: str) -> str | None:
        """The first value of a header, by any case of its name."""
        return next(self._values(name), None)

    def header_values(self, name: str) -> list[str]:
        """All values of a header, in order."""
        return list(self._values(name))

    def _values(self, name: str) -> Iterator[str]:
        lower, wanted, at = self.head.lower(), f"\n{name.lower()}:", 0
        while (at := lower.find(wanted, at)) >= 0:
            at += len(wanted)
            yield self.head[at : lower.find("\n", at)].strip()
            at -= 1


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a Hop. `size` is that of the body, after decompression."""

    response: Response
    told: Told = _NOTHING
    size: int = 0


Talk = Generator[Hop, Answer, Reading]
"""A run of a probe: asks for requests to be sent, and in the end says what it found."""


@dataclass(frozen=True, slots=True)
class Way:
    """Where a hop's connection leads: the target's admitted address, and the proxy's before it.

    `target` is None where the proxy is to resolve the name.
    """

    target: Admission | None
    proxy: Admission | None = None

    @property
    def admission(self) -> Admission:
        """What is connected to."""
        found = self.proxy or self.target
        assert found is not None  # noqa: S101  one of them is always there
        return found

    def later(self) -> Way:
        """The same for the next hop of a run: its name is not resolved again."""
        if self.target is None or self.target.seconds is None:
            return self
        return Way(replace(self.target, seconds=None), self.proxy)


def find_way(hop: Hop, guard: Guard, seconds: float | None) -> Way:
    """Ask the allow-list, and DNS. Raises Blocked or Unresolved."""
    _, host, port = origin_of(hop.request.url)
    proxy, families = hop.options.proxy, hop.options.families
    if proxy is None:
        return Way(guard.admit(host, port, seconds, families))
    _, proxy_host, proxy_port = origin_of(proxy.url)
    via = guard.admit(proxy_host, proxy_port, seconds)
    if not proxy.resolve:
        guard.check_name(host, port)
        return Way(None, via)
    return Way(guard.admit(host, port, seconds, families), via)


@dataclass(slots=True)
class _Gathered(Sink):
    """A Sink that leaves the headers as they came and keeps the body only where it is wanted."""

    keep: bool = True

    def body(self, chunk: bytes) -> int | None:
        self.size += len(chunk)
        if self.size > self.limit:
            self.overflow = True
            return -1
        if self.keep:
            self.chunks.append(chunk)
        return None

    def last_head(self) -> str:
        """The last answer's head, those of interim answers (100-continue) and of a proxy left out.

        Its lines end in a line break, also where an answer was cut off.
        """
        head = b"".join(self.lines)
        start = head.rfind(b"\nHTTP/") + 1
        return head[start:].decode("latin-1") + "\n"


@dataclass(slots=True)
class Line:
    """A libcurl handle that sends the hops of one run, one after the other.

    Cookies stay from hop to hop, those of the probe's own side apart from everybody else's.
    """

    handle: Any
    clock: Clock
    started: float = 0.0
    _sink: _Gathered = field(default_factory=lambda: _Gathered(0))
    _session: Session | None = None
    _way: Way = field(default_factory=lambda: Way(None))
    _jar: list[str] = field(default_factory=list)
    _own: bool = True

    def begin(self, hop: Hop, way: Way, started: float, seconds: float) -> None:
        """Make the handle ready to send; `seconds` are left for it.

        Raises:
            UsageError: a secret of the options cannot be read.
        """
        request, handle = hop.request, self.handle
        self.started, self._way = started, way
        self._sink = sink = _Gathered(request.body_limit, keep=hop.keep_body)
        self._session = Session() if request.url.startswith("https:") else None
        self._cookies(own=request.credentials)
        setopt = handle.setopt
        setopt(pycurl.NOSIGNAL, 1)
        setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        setopt(pycurl.OPENSOCKETFUNCTION, pinned(way.admission, sink))
        setopt(pycurl.TIMEOUT_MS, max(1, int(seconds * 1000)))
        if seconds > 299:
            setopt(pycurl.CONNECTTIMEOUT_MS, int(seconds * 1000))
        setopt(pycurl.WRITEFUNCTION, sink.body)
        setopt(pycurl.HEADERFUNCTION, sink.lines.append)
        if request.method != "HEAD":
            setopt(pycurl.MAXFILESIZE_LARGE, request.body_limit)  # as sent, before decompression
        _address(setopt, hop, way)
        set_method(handle, request)
        apply(handle, hop.options, self._session)

    def end(self, error: tuple[int, str] | None) -> Answer:
        """The answer of the finished transfer; `error` is libcurl's code and text."""
        handle, sink, info = self.handle, self._sink, self.handle.getinfo
        found = told(handle, self._session)
        admission = self._way.target or self._way.admission
        resolve = admission.seconds or 0.0
        failure = None
        if error is not None:
            sink.overflow = sink.overflow or error[0] == pycurl.E_FILESIZE_EXCEEDED
            failure = failure_of(handle, sink, error)
        took = info(pycurl.TOTAL_TIME) - info(pycurl.QUEUE_TIME_T) / 1e6
        response = Headed(
            status=info(pycurl.RESPONSE_CODE),
            head=sink.last_head(),
            body=b"".join(sink.chunks),
            phases=phases_of(handle, admission, answered=bool(sink.lines)),
            started=self.started,
            ended=self.started + resolve + took,
            failure=failure,
            address=admission.address,
            http_version=found.version,
        )
        handle.reset()  # lets go of the body
        return Answer(response, found, sink.size)

    def forget(self) -> None:
        """The handle is for another run now: no cookie stays."""
        self.handle.setopt(pycurl.COOKIELIST, "ALL")

    def _cookies(self, *, own: bool) -> None:
        """Change over between our own cookies and none at all."""
        handle = self.handle
        if own != self._own:
            if self._own:
                self._jar = handle.getinfo(pycurl.INFO_COOKIELIST)
            handle.setopt(pycurl.COOKIELIST, "ALL")
            for cookie in self._jar if own else ():
                handle.setopt(pycurl.COOKIELIST, cookie)
            self._own = own
        elif not own:
            handle.setopt(pycurl.COOKIELIST, "ALL")
        handle.setopt(pycurl.COOKIEFILE, "")


def _address(setopt: Any, hop: Hop, way: Way) -> None:
    """URL, proxy and where to connect. The URL's host is what TLS asks for and verifies."""
    request, options, target = hop.request, hop.options, way.target
    url, headers = request.url, hop.lines or header_lines(request)
    parts = urlsplit(url) if options.tls.server_name or way.proxy else None
    if parts is not None and parts.scheme == "https" and options.tls.server_name:
        url = _with_host(url, options.tls.server_name)
        headers = [*headers, f"Host: {parts.netloc}".encode()]
    elif parts is not None and parts.scheme == "http" and way.proxy and target is not None:
        url = _with_host(url, target.address)
        headers = [*headers, f"Host: {parts.netloc}".encode()]
    tunnel = url.startswith("https:") or way.proxy is None
    if target is not None and tunnel and target.address != target.host:
        setopt(pycurl.CONNECT_TO, [f"::{target.authority}"])
    setopt(pycurl.URL, url)
    setopt(pycurl.HTTPHEADER, headers)
    if way.proxy is None or options.proxy is None:
        setopt(pycurl.PROXY, "")
    else:
        _proxy(setopt, options.proxy, way.proxy)


def _with_host(url: str, host: str) -> str:
    parts = urlsplit(url)
    where = f"[{host}]" if ":" in host else host
    where += f":{parts.port}" if parts.port is not None else ""
    return urlunsplit((parts.scheme, where, parts.path, parts.query, ""))


def _proxy(setopt: Any, proxy: Proxy, via: Admission) -> None:
    setopt(pycurl.PROXY, f"http://{via.authority}")
    setopt(pycurl.NOPROXY, "")
    if proxy.username is not None:
        setopt(pycurl.PROXYUSERNAME, proxy.username)
    if proxy.password is not None:
        setopt(pycurl.PROXYPASSWORD, proxy.password.reveal())


def converse(talk: Talk, context: ProbeContext) -> Reading | None:
    """Carry a run in this thread, connections closed at its end; None when it was cancelled."""
    line, pins = Line(pycurl.Curl(), context.clock), dict[tuple[str, str, int], Way]()
    try:
        hop = next(talk)
        while not context.cancelled.is_set():
            hop = talk.send(_perform(line, hop, context, pins))
        talk.close()
        return None
    except StopIteration as end:
        reading: Reading = end.value
        return reading
    finally:
        line.handle.close()


def _perform(
    line: Line, hop: Hop, context: ProbeContext, pins: dict[tuple[str, str, int], Way]
) -> Answer:
    clock, origin = context.clock, origin_of(hop.request.url)
    started = clock.now()
    ends = started + hop.request.timeout
    try:
        way = pins.get(origin) or find_way(hop, context.guard, hop.request.timeout)
    except (Blocked, Unresolved) as error:
        return Answer(refusal(error, started))
    pins[origin] = way.later()
    line.begin(hop, way, started, max(0.001, ends - clock.now()))
    try:
        line.handle.perform()
    except pycurl.error as error:
        code, *text = error.args
        return line.end((int(code), str(text[0]) if text else ""))
    return line.end(None)
