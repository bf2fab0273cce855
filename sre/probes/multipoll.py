"""Which libcurl transfers are ready, and which have ended? (one thread, hundreds of sockets)"""

from __future__ import annotations

import math
import os
import select
import threading
import time
from contextlib import suppress
from typing import Any, Protocol

import pycurl

__all__ = ["IN", "OUT", "Ended", "Own", "Transfers"]

Ended = tuple[Any, tuple[int, str] | None]
"""A handle, and libcurl's code and text if its transfer failed."""

IN, OUT = select.POLLIN, select.POLLOUT  # epoll's have the same values
_SEES_CLOSING = hasattr(select, "epoll")
_MANY = 256
_KEPT_CONNECTIONS = 256


class Own(Protocol):
    """Who waits for a socket of ours."""

    def ready(self, events: int, now: float) -> bool:
        """It is ready, since `now`; whether there is something to be seen to after all others."""
        ...


class Transfers:
    """A libcurl multi handle over epoll. Everything but `wake` belongs to one thread."""

    def __init__(self) -> None:
        self._multi: Any = pycurl.CurlMulti()
        self._poller: Any = select.epoll() if _SEES_CLOSING else _Poll()
        self._waker, self._bell = os.pipe()
        self._ringing = threading.Lock()
        self._closed = False
        os.set_blocking(self._waker, False)
        os.set_blocking(self._bell, False)
        self._poller.register(self._waker, IN)
        self._watched: set[int] = set()
        self._own: dict[int, Own] = {}
        self.heard: list[Any] = []
        self._timer: float | None = None
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._multi.setopt(pycurl.M_MAXCONNECTS, _KEPT_CONNECTIONS)
        # two probes do not share one HTTP/2 connection
        self._multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_NOTHING)

    def watch(self, descriptor: int, events: int, own: Own) -> None:
        """Tell `own`, in `wait`, when its socket is ready; `heard` has who has news then."""
        self._poller.register(descriptor, events)
        self._own[descriptor] = own

    def news(self) -> list[Any]:
        """Who has news since the last `wait`."""
        heard = self.heard
        if heard:
            self.heard = []
        return heard

    def change(self, descriptor: int, events: int) -> None:
        """Wait for something else of a socket of ours."""
        self._poller.modify(descriptor, events)

    def forget(self, descriptor: int, *, closing: bool = False) -> None:
        """A socket of ours is not waited for any longer; epoll sees for itself that one closes."""
        waited = self._own.pop(descriptor, None) is not None
        if waited and not (closing and _SEES_CLOSING):
            self._poller.unregister(descriptor)

    def start(self, handle: Any) -> None:
        """Begin a transfer, in the next `wait`."""
        self._multi.add_handle(handle)

    def stop(self, handle: Any) -> None:
        """End a transfer that is under way."""
        self._multi.remove_handle(handle)

    def wait(self, seconds: float) -> list[Ended]:
        """Sleep until something is ready, at most so long, and see to it; what has ended.

        Sockets are all served before any end is told: libcurl takes its times as it serves them.
        Ends are asked for after every call into libcurl, before any sleep.
        """
        action, now = self._multi.socket_action, time.monotonic()
        if self._timer is not None and self._timer <= now:
            self._timer = None
            action(pycurl.SOCKET_TIMEOUT, 0)
            ended = self._ended()
            if ended:
                return ended
        if self._timer is not None:
            seconds = min(seconds, self._timer - now)
        ready = self._poller.poll(max(0.0, seconds), _MANY)
        return self._ended() if ready and self._serve(ready, time.monotonic()) else []

    def _serve(self, ready: list[tuple[int, int]], now: float) -> bool:
        """See to all that is ready; whether libcurl was asked to see to any of it."""
        served = False
        for descriptor, events in ready:
            own = self._own.get(descriptor)
            if own is not None:
                if own.ready(events, now):
                    self.heard.append(own)
            elif descriptor == self._waker:
                os.read(descriptor, 4096)
            elif descriptor in self._watched:  # one of ours may be gone since
                self._multi.socket_action(descriptor, _READY[events & 31])
                served = True
        return served

    def wake(self) -> None:
        """End the sleep of `wait`, from any thread, also when it is over."""
        with self._ringing:
            if not self._closed:
                with suppress(BlockingIOError):  # it rings already, thousandfold
                    os.write(self._bell, b"!")

    def close(self) -> None:
        """Close kept connections and descriptors; transfers must have been stopped."""
        with self._ringing:
            self._closed = True
        self._multi.close()
        self._poller.close()
        os.close(self._waker)
        os.close(self._bell)

    def _ended(self) -> list[Ended]:
        ended, left = list[Ended](), 1
        while left:
            left, good, bad = self._multi.info_read()
            ended += [(handle, None) for handle in good]
            ended += [(handle, (code, str(text))) for handle, code, text in bad]
        for handle, _ in ended:
            self._multi.remove_handle(handle)
        return ended

    def _on_socket(self, what: int, descriptor: int, _multi: Any, _data: Any) -> None:
        if what == pycurl.POLL_REMOVE:
            if descriptor in self._watched:
                self._watched.discard(descriptor)
                self._poller.unregister(descriptor)
        elif descriptor in self._watched:
            self._poller.modify(descriptor, _INTEREST[what])
        else:
            self._poller.register(descriptor, _INTEREST[what])
            self._watched.add(descriptor)

    def _on_timer(self, milliseconds: int) -> None:
        self._timer = None if milliseconds < 0 else time.monotonic() + milliseconds / 1000


class _Poll:
    """What `select.epoll` can, where there is none."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self.register, self.modify = self._poll.register, self._poll.modify
        self.unregister = self._poll.unregister

    def poll(self, seconds: float, _most: int) -> list[tuple[int, int]]:
        return self._poll.poll(math.ceil(seconds * 1000))

    def close(self) -> None:
        """Nothing is held."""


_INTEREST = {
    pycurl.POLL_NONE: 0,
    pycurl.POLL_IN: IN,
    pycurl.POLL_OUT: OUT,
    pycurl.POLL_INOUT: IN | OUT,
}


def _ready(events: int) -> int:
    found = pycurl.CSELECT_IN if events & IN else 0
    found |= pycurl.CSELECT_OUT if events & OUT else 0
    return int(found | (pycurl.CSELECT_ERR if events & (select.POLLERR | select.POLLHUP) else 0))


_READY = [_ready(events) for events in range(32)]
