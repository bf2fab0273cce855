"""How does one Request become bytes on a wire, through libcurl, at one pinned address?

Phases come from libcurl's own clock, taken in C without the interpreter's lock. `prepare` and
`collect` are shared by the probe (`CurlTransport`: one blocking transfer in a thread) and the load
test (a multi handle on the event loop).
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pycurl

from sre.journey.exchange import Request, Response, TransportFailure
from sre.journey.guard import Admission, Blocked, Guard, Unresolved
from sre.journey.model import SAFE_METHODS
from sre.journey.result import Outcome, Reason
from sre.journey.shop import origin_of
from sre.journey.sink import Sink, pinned

__all__ = [
    "CurlTransport",
    "Sink",
    "collect",
    "failure_of",
    "header_lines",
    "new_handle",
    "phases_of",
    "prepare",
    "refusal",
    "set_method",
]

_DNS = frozenset({pycurl.E_COULDNT_RESOLVE_HOST, pycurl.E_COULDNT_RESOLVE_PROXY})
_TLS = frozenset(
    code
    for name in (
        "E_SSL_CONNECT_ERROR", "E_PEER_FAILED_VERIFICATION", "E_SSL_CACERT", "E_SSL_CIPHER",
        "E_SSL_CERTPROBLEM", "E_SSL_ISSUER_ERROR", "E_SSL_CACERT_BADFILE", "E_USE_SSL_FAILED",
    )
    if (code := getattr(pycurl, name, None)) is not None
)  # fmt: skip
_BODY = frozenset({pycurl.E_WRITE_ERROR, pycurl.E_BAD_CONTENT_ENCODING, pycurl.E_PARTIAL_FILE})


def new_handle() -> Any:
    """A libcurl handle with what never changes: no proxy, no signals, no redirects of its own."""
    handle = pycurl.Curl()
    handle.setopt(pycurl.COOKIEFILE, "")
    return handle


def prepare(handle: Any, request: Request, admission: Admission, sink: Sink) -> None:
    """Set one request on a handle (its connections and cookies stay).

    The address is pinned twice: libcurl is told where to connect, and a socket to anywhere else
    is refused before it is opened.
    """
    handle.reset()
    setopt = handle.setopt
    setopt(pycurl.URL, request.url)
    setopt(pycurl.NOSIGNAL, 1)
    setopt(pycurl.PROXY, "")
    setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
    setopt(pycurl.FOLLOWLOCATION, 0)
    setopt(pycurl.CONNECT_TO, [f"::{admission.authority}"])
    setopt(pycurl.OPENSOCKETFUNCTION, pinned(admission, sink))
    setopt(pycurl.ACCEPT_ENCODING, "")
    setopt(pycurl.COOKIEFILE, "")
    setopt(pycurl.TIMEOUT_MS, max(1, int(request.timeout * 1000)))
    setopt(pycurl.CONNECTTIMEOUT_MS, max(1, int(request.timeout * 1000)))
    setopt(pycurl.WRITEFUNCTION, sink.body)
    setopt(pycurl.HEADERFUNCTION, sink.header)
    if not request.keep_alive:
        setopt(pycurl.FRESH_CONNECT, 1)
        setopt(pycurl.FORBID_REUSE, 1)
    if request.method not in SAFE_METHODS:
        setopt(pycurl.PREREQFUNCTION, sink.once)
    set_method(handle, request)
    setopt(pycurl.HTTPHEADER, header_lines(request))


def header_lines(request: Request) -> list[bytes]:
    """The request's headers for libcurl, and those that it must not add of its own."""
    lines = [f"{name}: {value}" if value else f"{name};" for name, value in request.headers]
    names = {name.lower() for name, _ in request.headers}
    lines += [f"{name}:" for name in ("Content-Type", "Expect") if name.lower() not in names]
    return [line.encode("utf-8") for line in lines]


def set_method(handle: Any, request: Request) -> None:
    """Method and body."""
    if request.method == "HEAD":
        handle.setopt(pycurl.NOBODY, 1)
    elif request.body is not None:
        handle.setopt(pycurl.POST, 1)
        handle.setopt(pycurl.POSTFIELDS, request.body)  # the one option that takes NUL bytes
    if request.method not in ("GET", "HEAD") or request.body is not None:
        handle.setopt(pycurl.CUSTOMREQUEST, request.method)


def collect(
    handle: Any, sink: Sink, admission: Admission, started: float, error: tuple[int, str] | None
) -> Response:
    """The Response of a finished transfer; `error` is libcurl's code and text, if it failed."""
    failure = failure_of(handle, sink, error) if error else None
    resolve = admission.seconds or 0.0
    return Response(
        status=handle.getinfo(pycurl.RESPONSE_CODE),
        headers=sink.headers(),
        body=b"".join(sink.chunks),
        phases=phases_of(handle, admission, answered=bool(sink.lines)),
        started=started,
        ended=started + resolve + handle.getinfo(pycurl.TOTAL_TIME),
        failure=failure,
        address=admission.address,
        http_version=_VERSIONS.get(handle.getinfo(pycurl.INFO_HTTP_VERSION), ""),
    )


_VERSIONS = {1: "1.0", 2: "1.1", 3: "2", 30: "3"}


def phases_of(handle: Any, admission: Admission, *, answered: bool) -> dict[str, float]:
    """blackbox_exporter's phases; one that did not happen is left out, on a failure too.

    Processing counts from the moment the connection is there, as blackbox_exporter does. libcurl's
    own PRETRANSFER mark is of no use: it is at times set only when the answer is already here.
    """
    info = handle.getinfo
    connect, tls = info(pycurl.CONNECT_TIME), info(pycurl.APPCONNECT_TIME)
    first = info(pycurl.STARTTRANSFER_TIME)
    phases: dict[str, float] = {}
    if admission.seconds is not None:
        phases["resolve"] = admission.seconds
    if info(pycurl.NUM_CONNECTS) > 0 and connect > 0:
        phases["connect"] = max(0.0, connect - info(pycurl.NAMELOOKUP_TIME))
        if tls > 0:
            phases["tls"] = tls - connect
    if answered and first > 0:
        phases["processing"] = max(0.0, first - max(connect, tls, 0.0))
        phases["transfer"] = max(0.0, info(pycurl.TOTAL_TIME) - first)
    return phases


def failure_of(handle: Any, sink: Sink, error: tuple[int, str]) -> TransportFailure:
    """Why there is no usable answer; `error` is libcurl's code and text."""
    code, text = error
    reason = _reason(handle, sink, code)
    if sink.overflow:
        text = f"the body is larger than the limit of {sink.limit} bytes (body_limit)"
    elif sink.begun > 1:
        text = "the connection was closed before an answer came"
    elif reason is Reason.TIMEOUT:
        text = f"{_stage(handle)} (total {handle.getinfo(pycurl.TOTAL_TIME):.2f} s)"
    elif reason is Reason.PROBER:
        text = sink.trouble or f"no local port was free to connect from ({text})"
    return TransportFailure(reason, text, sent=_sent(handle))


def _reason(handle: Any, sink: Sink, code: int) -> Reason:
    if sink.overflow or code in _BODY:
        return Reason.BODY
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return Reason.TIMEOUT
    if code in _DNS:
        return Reason.DNS
    if code in _TLS:
        return Reason.TLS
    if code == pycurl.E_COULDNT_CONNECT:
        ours = sink.trouble or handle.getinfo(pycurl.OS_ERRNO) == errno.EADDRNOTAVAIL
        return Reason.PROBER if ours else Reason.CONNECT
    if code == pycurl.E_RECV_ERROR and not _sent(handle):
        return Reason.CONNECT
    return Reason.PROTOCOL


def _sent(handle: Any) -> bool:
    """The request, or a part of it, has left."""
    return bool(handle.getinfo(pycurl.REQUEST_SIZE) > 0)


def _stage(handle: Any) -> str:
    info = handle.getinfo
    if not _sent(handle) and not info(pycurl.CONNECT_TIME):
        return "timed out connecting"  # libcurl has a first byte's time then too, of nothing
    if info(pycurl.STARTTRANSFER_TIME) > 0:
        return "timed out while the answer was still arriving"
    if _sent(handle):
        return "timed out waiting for the first byte of the answer"
    return "timed out in the TLS handshake"


def refusal(error: Blocked | Unresolved, now: float) -> Response:
    """The Response when no address was admitted: nothing was sent."""
    if isinstance(error, Blocked):
        failure = TransportFailure(Reason.NONE, str(error), Outcome.BLOCKED)
    else:
        failure = TransportFailure(Reason.DNS, str(error))
    return Response(failure=failure, started=now, ended=now)


class CurlTransport:
    """Performs requests one after the other: one run of a journey, cookies and connections with it.

    A name is resolved once a run, as a browser would; later requests carry no resolve phase.
    Requests to origins that are not the shop's own use a second handle that knows no cookie.
    """

    def __init__(self, guard: Guard, now: Callable[[], float] = time.monotonic) -> None:
        self._guard = guard
        self._now = now
        self._handles: dict[bool, Any] = {}
        self._pins: dict[tuple[str, int], Admission] = {}

    def perform(self, request: Request) -> Response:
        """One request, for `request.timeout` seconds at most. Never raises for the target."""
        started = self._now()
        try:
            admission = self._admit(request)
        except (Blocked, Unresolved) as error:
            return refusal(error, started)
        handle = self._handles.get(request.credentials)
        if handle is None:
            handle = self._handles[request.credentials] = new_handle()
        sink = Sink(request.body_limit)
        left = max(0.001, request.timeout - (self._now() - started))
        prepare(handle, replace(request, timeout=left), admission, sink)
        error_text: tuple[int, str] | None = None
        try:
            handle.perform()
        except pycurl.error as error:
            code, *text = error.args
            error_text = (int(code), str(text[0]) if text else "")
        if not request.credentials:
            handle.setopt(pycurl.COOKIELIST, "ALL")
        return collect(handle, sink, admission, started, error_text)

    def _admit(self, request: Request) -> Admission:
        _, host, port = origin_of(request.url)
        pinned = self._pins.get((host, port))
        if pinned is not None:
            return pinned
        fresh = self._guard.admit(host, port, request.timeout)
        self._pins[host, port] = Admission(host, port, fresh.address)
        return fresh

    def close(self) -> None:
        """Close connections. Safe to call twice."""
        for handle in self._handles.values():
            handle.close()
        self._handles.clear()
