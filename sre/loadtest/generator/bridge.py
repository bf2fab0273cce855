"""How does libcurl get to read an answer that has begun on a socket of ours? (child process only)

From one end of a socket pair: what came is said again, what comes is passed on, and the end comes
as it came. What libcurl writes goes nowhere: the shop has been asked already.
"""

from __future__ import annotations

import socket as plain
from contextlib import suppress
from typing import Any

import gevent  # noqa: TID253  child process only
import pycurl
from gevent import socket  # noqa: TID253

from sre.journey.sink import opened
from sre.loadtest.generator.line import Line

__all__ = ["Bridge", "Shifted"]

_PIECE = 64 * 2**10


class Bridge:
    """Between the socket of `line` and libcurl's end of the pair. OSError: no socket is free."""

    def __init__(self, line: Line) -> None:
        self._line = line
        near, self._end = plain.socketpair()
        near.settimeout(0)
        self._end.settimeout(0)
        self._said = 0
        with suppress(OSError):  # as much as there is room for, so that libcurl finds it at once
            self._said = near.send(line.data)
        self._near = socket.socket(fileno=near.detach())
        self._far = socket.socket(fileno=line.take().detach())
        self._pump = gevent.spawn(self._carry)

    def put_on(self, handle: Any) -> None:
        """libcurl is to take its end for the connection to the shop."""
        handle.setopt(pycurl.OPENSOCKETFUNCTION, lambda *_: opened(self._end.detach()))
        handle.setopt(pycurl.SOCKOPTFUNCTION, lambda *_: pycurl.SOCKOPT_ALREADY_CONNECTED)
        handle.setopt(pycurl.FRESH_CONNECT, 1)
        handle.setopt(pycurl.FORBID_REUSE, 1)

    def close(self) -> None:
        """The transfer is over, or nobody wants it any longer."""
        self._pump.kill()
        for one in (self._near, self._end, self._far):
            one.close()

    def _carry(self) -> None:
        line = self._line
        with suppress(OSError):  # libcurl has had enough
            self._near.sendall(line.data[self._said :])
            reset = line.reset or (not line.ended and self._pass_on())
            if reset:
                socket.wait_read(self._near.fileno())
                self._near.close()  # what libcurl wrote is unread, so this breaks its connection
            else:
                self._near.shutdown(plain.SHUT_WR)

    def _pass_on(self) -> bool:
        """Whatever else comes; whether it ends in a reset."""
        while True:
            try:
                piece = self._far.recv(_PIECE)
            except OSError:
                return True
            if not piece:
                return False
            self._near.sendall(piece)


class Shifted:
    """A libcurl handle's answers about time, as if it had carried the transfer from its start."""

    def __init__(self, handle: Any, line: Line, began: float, crossed: float) -> None:
        self._handle, self._line, self._began = handle, line, began
        self._before = crossed - began

    def getinfo(self, what: int) -> Any:
        """As the handle's own."""
        line, found = self._line, self._handle.getinfo(what)
        if what == pycurl.TOTAL_TIME:
            return self._before + found - self._handle.getinfo(pycurl.QUEUE_TIME_T) / 1e6
        if what == pycurl.CONNECT_TIME:
            return 0.0 if line.used else line.connected - self._began
        if what == pycurl.NUM_CONNECTS:
            return 0 if line.used else 1
        if what in (pycurl.NAMELOOKUP_TIME, pycurl.APPCONNECT_TIME, pycurl.QUEUE_TIME_T):
            return 0.0
        if what == pycurl.STARTTRANSFER_TIME and found > 0:
            return (line.first or line.done) - self._began
        if what == pycurl.REQUEST_SIZE:
            return line.sent
        return found
