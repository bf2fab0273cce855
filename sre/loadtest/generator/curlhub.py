"""How does one event loop keep a thousand libcurl transfers in the air? (child process only)

A multi handle whose sockets and timer are watched by gevent's hub: no thread, no busy loop. The
callbacks run in the hub and must neither block nor switch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gevent  # noqa: TID253  child process only
import pycurl
from gevent.event import AsyncResult  # noqa: TID253
from gevent.lock import RLock  # noqa: TID253

from sre.journey.exchange import Request, Response, TransportFailure
from sre.journey.guard import Admission, Blocked, Guard, Unresolved
from sre.journey.result import Reason
from sre.journey.shop import origin_of
from sre.journey.transport import Sink, collect, prepare, refusal
from sre.loadtest.generator.bridge import Bridge, Shifted
from sre.loadtest.generator.socketpool import Odd

__all__ = ["CurlHub"]

_EVENTS = {pycurl.POLL_IN: 1, pycurl.POLL_OUT: 2, pycurl.POLL_INOUT: 3}
_READ, _WRITE = 1, 2
_LITTLE = 0.05  # seconds that libcurl gets to read what is there already


class CurlHub:
    """All transfers of one worker. Connections are shared: the pool keeps up to `pool` idle ones.

    Names are resolved once for the whole run, through the allow-list, one question per name at a
    time; what was blocked is asked again each time and never connected.
    """

    def __init__(self, guard: Guard, now: Callable[[], float], pool: int) -> None:
        self._guard, self._now = guard, now
        self._loop: Any = gevent.get_hub().loop
        self._multi: Any = pycurl.CurlMulti()
        self._watchers: dict[int, Any] = {}
        self._timer: Any = None
        self._pins: dict[tuple[str, int], Admission] = {}
        self._asking: dict[tuple[str, int], Any] = {}
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._multi.setopt(pycurl.M_MAXCONNECTS, max(1, pool))
        # customers do not share one HTTP/2 connection
        self._multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_NOTHING)

    def perform(self, handle: Any, request: Request) -> Response:
        """One request; other greenlets run meanwhile. Never raises for what the target does."""
        started = self._now()
        try:
            admission = self.admit(request)
        except (Blocked, Unresolved) as refused:
            return refusal(refused, started)
        return self.transfer(handle, request, admission, started)

    def transfer(
        self, handle: Any, request: Request, admission: Admission, started: float
    ) -> Response:
        """The same with an address that has been admitted."""
        sink = Sink(request.body_limit)
        prepare(handle, request, admission, sink)
        error = self._transfer(handle)
        return collect(handle, sink, admission, started, error)

    def tell(self, handle: Any, request: Request, admission: Admission, odd: Odd) -> Response:
        """What is it that has begun to come on a connection of ours?"""
        assert odd.line is not None  # noqa: S101  the caller's part
        crossed = self._now()
        left = max(_LITTLE, odd.line.deadline - crossed)
        sink = Sink(request.body_limit)
        try:
            bridge = Bridge(odd.line)
        except OSError as error:
            odd.line.close()
            return _no_socket(error, admission, odd, crossed)
        try:
            prepare(handle, replace(request, timeout=left), admission, sink)
            bridge.put_on(handle)
            error_text = self._transfer(handle)
        finally:
            bridge.close()
        shifted = Shifted(handle, odd.line, odd.began, crossed)
        return collect(shifted, sink, admission, odd.started, error_text)

    def _transfer(self, handle: Any) -> tuple[int, str] | None:
        handle.done = AsyncResult()
        self._multi.add_handle(handle)
        try:
            error: tuple[int, str] | None = handle.done.get()
        except BaseException:  # killed, timed out: else the transfer would go on without us
            self._multi.remove_handle(handle)
            raise
        return error

    def admit(self, request: Request) -> Admission:
        """Ask the allow-list, once for each place. Raises Blocked or Unresolved."""
        _, host, port = origin_of(request.url)
        where = (host, port)
        known = self._pins.get(where)
        if known is not None:
            return known
        with self._asking.setdefault(where, RLock()):
            if where not in self._pins:
                fresh = self._guard.admit(host, port, request.timeout)
                self._pins[where] = Admission(host, port, fresh.address)
                return fresh
        return self._pins[where]

    def _on_socket(self, what: int, descriptor: int, _multi: Any, _data: Any) -> None:
        old = self._watchers.pop(descriptor, None)
        if old is not None:
            old.stop()
            old.close()
        if what != pycurl.POLL_REMOVE:
            watcher = self._watchers[descriptor] = self._loop.io(descriptor, _EVENTS[what])
            watcher.start(self._on_ready, descriptor, pass_events=True)

    def _on_ready(self, events: int, descriptor: int) -> None:
        ready = pycurl.CSELECT_IN if events & _READ else 0
        ready |= pycurl.CSELECT_OUT if events & _WRITE else 0
        self._multi.socket_action(descriptor, ready)
        self._reap()

    def _on_timer(self, milliseconds: int) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None
        if milliseconds >= 0:
            self._timer = self._loop.timer(milliseconds / 1000)
            self._timer.start(self._on_timeout)

    def _on_timeout(self) -> None:
        self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        self._reap()

    def _reap(self) -> None:
        left = 1
        while left:
            left, good, bad = self._multi.info_read()
            for handle in good:
                self._multi.remove_handle(handle)
                handle.done.set(None)
            for handle, code, text in bad:
                self._multi.remove_handle(handle)
                handle.done.set((code, str(text)))


def _no_socket(error: OSError, admission: Admission, odd: Odd, now: float) -> Response:
    text = f"cannot open a socket: {error.strerror}"
    failure = TransportFailure(Reason.PROBER, text, sent=True)
    return Response(failure=failure, started=odd.started, ended=now, address=admission.address)
