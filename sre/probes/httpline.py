"""How does one request of an HTTP probe become a libcurl transfer, and its answer again?"""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pycurl

from sre.journey.guard import Admission, Blocked, Guard, Unresolved
from sre.journey.model import SAFE_METHODS
from sre.journey.shop import origin_of
from sre.journey.sink import Sink, open_pinned, opened
from sre.journey.transport import failure_of, header_lines, phases_of, refusal, set_method
from sre.probes.httpbridge import Bridge, Shifted
from sre.probes.httphop import Answer, Headed, Hop, Talk, Way
from sre.probes.httpoptions import Proxy, Session, apply, told
from sre.probes.model import ProbeContext, Reading

__all__ = ["Line", "converse", "find_way", "new_line"]


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


class Line(Sink):
    """A libcurl handle that sends the hops of one run, one after the other, and then of another.

    Cookies stay from hop to hop, those of the probe's own side apart from everybody else's. What
    two hops have in common is said to libcurl once.
    """

    __slots__ = (
        "_address", "_bridge", "_common", "_jar", "_keep", "_own", "_port", "_session",
        "_started", "_tls", "_way", "carried", "handle",
    )  # fmt: skip

    def __init__(self, handle: Any) -> None:
        super().__init__(0)
        self.handle = handle
        self.carried: Any = None
        self._common: tuple[Any, ...] = ()
        self._jar: list[str] = []
        self._own, self._keep = True, True
        self._session = Session()
        self._bridge: tuple[Bridge, Shifted] | None = None

    def begin(self, hop: Hop, way: Way, started: float, seconds: float) -> None:
        """Make the handle ready to send; `seconds` are left for it.

        Raises:
            UsageError: a secret of the options cannot be read.
        """
        request, admission = hop.request, way.admission
        self.size, self.overflow, self.trouble, self.begun = 0, False, "", 0
        self.limit, self._keep = request.body_limit, hop.keep_body
        self._started, self._way = started, way
        self._address, self._port = admission.address, admission.port
        self._session.version = self._session.cipher = ""
        url, headers, connect = _address(hop, way)
        milliseconds = max(1, int(seconds * 1000))
        common = (hop.options, request.method, request.body, self.limit, connect, url[:6])
        if self._common != common or not self._own or not request.credentials:
            self._prepare(hop, url, connect)
            self._common = common if way.proxy is None else ()
        setopt = self.handle.setopt
        setopt(pycurl.URL, url)
        setopt(pycurl.HTTPHEADER, headers)
        setopt(pycurl.TIMEOUT_MS, milliseconds)
        if milliseconds > 299_000:
            setopt(pycurl.CONNECTTIMEOUT_MS, milliseconds)

    def cross(self, bridge: Bridge) -> None:
        """The request that was just begun is under way elsewhere; only its answer is read here."""
        self._bridge = (bridge, Shifted(self.handle, bridge.times, time.monotonic()))
        self._common = ()
        self.handle.setopt(pycurl.SOCKOPTFUNCTION, _connected)

    def close(self) -> None:
        """Let go of everything."""
        self._uncross()
        self.handle.close()

    def _uncross(self) -> None:
        if self._bridge is not None:
            self._bridge[0].close()
            self._bridge = None

    def end(self, error: tuple[int, str] | None) -> Answer:
        """The answer of the finished transfer; `error` is libcurl's code and text."""
        handle: Any = self.handle if self._bridge is None else self._bridge[1]
        info = handle.getinfo
        found = told(handle, self._session if self._tls else None)
        admission = self._way.target or self._way.admission
        failure = None
        if error is not None:
            self.overflow = self.overflow or error[0] == pycurl.E_FILESIZE_EXCEEDED
            failure = failure_of(handle, self, error)
        took = info(pycurl.TOTAL_TIME) - info(pycurl.QUEUE_TIME_T) / 1e6
        head, body = self._head(), b"".join(self.chunks)
        self.lines.clear()
        self.chunks.clear()
        phases = phases_of(handle, admission, answered=head != "\n")
        self._uncross()
        response = Headed(
            self.handle.getinfo(pycurl.RESPONSE_CODE),
            (),
            body,
            phases,
            self._started,
            self._started + (admission.seconds or 0.0) + took,
            failure,
            admission.address,
            found.version,
            head,
            head.lower(),
        )
        return Answer(response, found, self.size)

    def forget(self) -> None:
        """The handle is for another run now: no cookie stays, nor anybody's secret."""
        self.handle.setopt(pycurl.COOKIELIST, "ALL")
        self._jar = []
        if self._common and self._common[2] is not None:
            self._common = ()
            self.handle.reset()

    def body(self, chunk: bytes) -> int | None:
        self.size += len(chunk)
        if self.size > self.limit:
            self.overflow = True
            return -1
        if self._keep:
            self.chunks.append(chunk)
        return None

    def _head(self) -> str:
        """The last answer's head, those of interim answers (100-continue) and of a proxy left out.

        Its lines end in a line break, also where an answer was cut off.
        """
        head = b"".join(self.lines)
        start = head.rfind(b"\nHTTP/") + 1
        return head[start:].decode("latin-1") + "\n"

    def _prepare(self, hop: Hop, url: str, connect: str) -> None:
        """What does not change from run to run."""
        request, handle, way = hop.request, self.handle, self._way
        handle.reset()
        self._cookies(own=request.credentials)
        setopt = handle.setopt
        setopt(pycurl.NOSIGNAL, 1)
        setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        setopt(pycurl.OPENSOCKETFUNCTION, self._open)
        setopt(pycurl.WRITEFUNCTION, self.body)
        setopt(pycurl.HEADERFUNCTION, self.lines.append)
        if request.method != "HEAD":
            setopt(pycurl.MAXFILESIZE_LARGE, request.body_limit)  # as sent, before decompression
        if connect:
            setopt(pycurl.CONNECT_TO, [f"::{connect}"])
        if way.proxy is None or hop.options.proxy is None:
            setopt(pycurl.PROXY, "")
        else:
            _proxy(setopt, hop.options.proxy, way.proxy)
        if request.body is None and not url.startswith("https:"):
            setopt(pycurl.TCP_NODELAY, 0)  # all of it is one segment: nothing would be held back
        if request.method not in SAFE_METHODS:
            setopt(pycurl.PREREQFUNCTION, self.once)
        set_method(handle, request)
        self._tls = url.startswith("https:")
        apply(handle, hop.options, self._session if self._tls else None)

    def _open(self, _purpose: int, address: Any) -> Any:
        if self._bridge is not None:
            return opened(self._bridge[0].end.detach())
        return open_pinned(address, self._address, self._port, self)

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


def new_line() -> Line:
    """A line whose handle knows it."""
    handle: Any = pycurl.Curl()
    handle.line = line = Line(handle)
    return line


def _connected(_descriptor: Any, _purpose: int) -> int:
    return int(pycurl.SOCKOPT_ALREADY_CONNECTED)


def _address(hop: Hop, way: Way) -> tuple[str, list[bytes], str]:
    """URL, headers, and where to connect (empty: to the URL's own host).

    The URL's host is what TLS asks for and verifies.
    """
    request, options, target = hop.request, hop.options, way.target
    url, headers = request.url, hop.lines or header_lines(request)
    name = options.tls.server_name
    if name is None and way.proxy is None:
        same = target is None or target.address == target.host
        return url, headers, "" if same or target is None else target.authority
    parts, host = urlsplit(url), None
    if parts.scheme == "https":
        host = name
    elif way.proxy is not None and target is not None:
        host = target.address
    if host is not None:
        url = _with_host(url, host)
        headers = [*headers, f"Host: {parts.netloc}".encode()]
    tunnel = parts.scheme == "https" or way.proxy is None
    return url, headers, target.authority if target is not None and tunnel else ""


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
    line, pins = Line(pycurl.Curl()), dict[tuple[str, str, int], Way]()
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
        line.close()


def _perform(
    line: Line, hop: Hop, context: ProbeContext, pins: dict[tuple[str, str, int], Way]
) -> Answer:
    clock, origin = context.clock, origin_of(hop.request.url)
    started = clock.now()
    ends = started + hop.timeout
    try:
        way = pins.get(origin) or find_way(hop, context.guard, hop.timeout)
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
