"""How does one connection of ours to a shop carry requests, and when did what happen? (child only)

Its watcher stays on for as long as the connection lives. It takes what has come, and the time of
it, before any customer goes on, so that no time of a customer is another one's work.
"""

from __future__ import annotations

import errno
import socket
from _socket import socket as raw_socket
from collections.abc import Callable
from typing import Any

from gevent import get_hub, getcurrent  # noqa: TID253  child process only

from sre.journey.guard import Admission
from sre.journey.wire import LARGEST, Found, Unfit

__all__ = ["READ", "WRITE", "Line"]

READ, WRITE = 1, 2
_PIECE = 64 * 2**10
_UNDER_WAY = (errno.EINPROGRESS, errno.EALREADY, errno.EINTR)
_BORN_SO = getattr(socket, "SOCK_NONBLOCK", 0)


class Line:
    """One connection; one request at a time.

    Attributes:
        connected, first, done: moments of the request under way; 0 where it did not get so far.
        data: what has come of its answer; `sent`: bytes of the request that the system took.
        found: what its answer is, as far as it has come.
        used: it has carried a request before.
        ended: the other side has closed, in good order; `reset`: in whatever way.
        refused: the error number of a connection that was not made.
        late: its time was up.
        idle: since when it waits for its next request.
    """

    __slots__ = (
        "_call", "_greenlet", "_hub", "_loop", "_now", "_recv", "_room", "_socket", "_watcher",
        "connected", "data", "deadline", "descriptor", "done", "ended", "first", "found", "idle",
        "late", "lost", "pieces", "refused", "reset", "sent", "used",
    )  # fmt: skip

    def __init__(self, now: Callable[[], float], lost: Callable[[Line], None]) -> None:
        self._hub = get_hub()
        self._loop: Any = self._hub.loop
        self._now, self.lost = now, lost
        self._greenlet: Any = None
        self._call: Any = None
        self._watcher: Any = None
        self._socket: Any = None
        self.used = False
        self.connected = self.first = self.done = self.deadline = self.idle = 0.0
        self._room = 0.0
        self.data, self.pieces, self.sent = b"", 0, 0
        self.ended = self.reset = self.late = False
        self.refused = 0
        self.found: Found | Unfit = Unfit.MORE

    def open(self, admission: Admission) -> bool:
        """Begin to connect. False: no attempt could be made, and nothing has left."""
        address = admission.address
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            self._socket = made = raw_socket(family, socket.SOCK_STREAM | _BORN_SO, 0)
        except OSError:
            return False
        if not _BORN_SO:
            made.settimeout(0)
        try:
            code = made.connect_ex((address, admission.port))
        except (OSError, OverflowError):
            code = errno.EINVAL
        if code and code not in _UNDER_WAY:
            made.close()
            return False
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.descriptor, self._recv = made.fileno(), made.recv
        return True

    @property
    def alive(self) -> bool:
        """Nothing has come since its last answer, not even its end."""
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False

    def begin(self, deadline: float) -> None:
        """A request is about to go."""
        self.deadline, self.found = deadline, Unfit.MORE
        self.first = self.done = 0.0
        self.data, self.pieces, self.sent = b"", 0, 0

    def send(self, wire: bytes) -> bool:
        """Send all of it, connecting first. False: it did not get so far, see the attributes."""
        left: bytes | memoryview = wire
        while not (self.late or self.reset or self.refused):
            try:
                sent = self._socket.send(left)
            except BlockingIOError:
                self._await_room()
                continue
            except OSError as error:
                self._broken(error)
                return False
            if not self.connected:
                self._up(self._now())
            self.sent += sent
            if sent == len(left):
                return True
            left = memoryview(left)[sent:]
        return False

    def wait(self) -> None:
        """Until something comes, or the time is up. Called in the customer's greenlet."""
        self._greenlet = getcurrent()
        try:
            self._hub.switch()
        finally:
            self._greenlet = None
            if self._call is not None:
                self._call.stop()
                self._call = None

    def wake(self) -> None:
        """Let the customer go on, after everything else that is ready has been taken in."""
        if self._call is None and self._greenlet is not None:
            self._call = self._loop.run_callback(self._resume)

    def close(self) -> None:
        """Let go of it. Safe to call twice."""
        self._unwatch()
        self._socket.close()

    def take(self) -> Any:
        """The socket, to be somebody else's from now on."""
        self._unwatch()
        return self._socket

    def _resume(self) -> None:
        self._call = None
        if self._greenlet is not None:
            self._greenlet.switch()

    def _up(self, at: float) -> None:
        self.connected = at
        self._watcher = self._loop.io(self.descriptor, READ)
        self._watcher.start(self._readable)

    def _await_room(self) -> None:
        watcher = self._loop.io(self.descriptor, WRITE)
        watcher.start(self._writable)
        try:
            self.wait()
        finally:
            watcher.stop()
            watcher.close()
        if not self.connected and not self.late:
            self.refused = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not self.refused:
                self._up(self._room)

    def _writable(self) -> None:
        self._room = self._now()
        self.wake()

    def _broken(self, error: OSError) -> None:
        if self.connected:
            self.reset = True
        else:
            self.refused = error.errno or errno.ECONNREFUSED

    def _readable(self) -> None:
        try:
            piece = self._recv(_PIECE)
        except BlockingIOError:
            return
        except OSError:
            self.reset, piece = True, b""
        at = self._now()
        if self._greenlet is None:  # its end, or words that nobody has asked for
            self._unwatch()
            self.lost(self)
            return
        self.done = at
        if piece:
            self.first = self.first or at
            self.pieces += 1
            self.data = self.data + piece if self.data else piece
            if len(self.data) > LARGEST:
                self._unwatch()
        else:
            self.ended = not self.reset
            self._unwatch()
        self.wake()

    def _unwatch(self) -> None:
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
            self._watcher = None
