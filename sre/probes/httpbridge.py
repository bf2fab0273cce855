"""How does libcurl get to read an answer that has begun on a socket of ours?

From one end of a socket pair: what came is said again, what comes is passed on, and the end comes
as it came. What libcurl writes goes nowhere: the target has been asked already.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any

import pycurl

from sre.probes.httphop import Answer
from sre.probes.httpraw import Exchange
from sre.probes.multipoll import IN, OUT, Transfers

__all__ = ["Bridge", "Shifted", "crossing"]

_PIECE = 64 * 2**10


class Bridge:
    """Between a target's socket and libcurl's end of the pair, on the loop's own epoll."""

    def __init__(self, transfers: Transfers, exchange: Exchange) -> None:
        self._transfers = transfers
        self.times = exchange
        self._near, self.end = socket.socketpair()
        self._far = socket.socket(fileno=exchange.take())
        self._near.settimeout(0)
        self.end.settimeout(0)
        self._held = memoryview(exchange.data)
        self._over, self._reset = exchange.ended or exchange.reset, exchange.reset
        self._watched: tuple[socket.socket, int] | None = None
        self._pass_on()

    def close(self) -> None:
        """The transfer is over, or nobody wants it any longer."""
        self._watch(None)
        for one in (self._near, self.end, self._far):
            one.close()

    def ready(self, _events: int, _now: float) -> bool:
        """There is something to pass on, or room for it, or libcurl has asked."""
        if self._watched == (self._far, IN):
            try:
                piece = self._far.recv(_PIECE)
                self._held, self._over = memoryview(piece), not piece
            except BlockingIOError:
                return False
            except OSError:
                self._over = self._reset = True
        elif self._watched == (self._near, IN):
            self._watch(None)
            self._near.close()  # what libcurl wrote is unread, so this breaks its connection
            return False
        self._pass_on()
        return False

    def _pass_on(self) -> None:
        try:
            while self._held:
                self._held = self._held[self._near.send(self._held) :]
        except BlockingIOError:
            self._watch((self._near, OUT))
        except OSError:  # libcurl has had enough
            self._watch(None)
        else:
            self._carry_on()

    def _carry_on(self) -> None:
        if not self._over:
            self._watch((self._far, IN))
        elif self._reset:
            self._watch((self._near, IN))
        else:
            self._watch(None)
            with suppress(OSError):
                self._near.shutdown(socket.SHUT_WR)

    def _watch(self, what: tuple[socket.socket, int] | None) -> None:
        """Wait for the target to say more, for libcurl to take more or to ask, or for nothing."""
        if what == self._watched:
            return
        if self._watched is not None:
            self._transfers.forget(self._watched[0].fileno())
        self._watched = what
        if what is not None:
            self._transfers.watch(what[0].fileno(), what[1], self)


def crossing(transfers: Transfers, exchange: Exchange) -> Bridge | Answer:
    """A bridge; or, where there is no room for one more, what is to be told of the exchange."""
    try:
        return Bridge(transfers, exchange)
    except OSError as error:
        return exchange.given_up(f"cannot open a socket: {error.strerror}")


class Shifted:
    """A libcurl handle's answers about time, as if it had carried the transfer from its start."""

    def __init__(self, handle: Any, times: Exchange, begun: float) -> None:
        self._handle, self._times = handle, times
        self._before = begun - times.began

    def getinfo(self, what: int) -> Any:
        """As the handle's own."""
        times, found = self._times, self._handle.getinfo(what)
        if what == pycurl.TOTAL_TIME:
            queued = self._handle.getinfo(pycurl.QUEUE_TIME_T) / 1e6
            return self._before + found - queued
        if what == pycurl.CONNECT_TIME:
            return times.connected - times.began
        if what in (pycurl.NAMELOOKUP_TIME, pycurl.APPCONNECT_TIME, pycurl.QUEUE_TIME_T):
            return 0.0
        if what == pycurl.STARTTRANSFER_TIME and found > 0:
            return (times.first or times.done) - times.began
        if what == pycurl.REQUEST_SIZE:
            return len(times.hop.wire)
        return found
