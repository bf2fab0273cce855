"""How does a plain GET travel over a socket of ours on the loop, and when did what happen?

Only what is plain stays here. An answer that is not is told by libcurl: it reads the same bytes
from a socket pair, and the times are those that were taken here.
"""

from __future__ import annotations

import errno
import socket
import time
from _socket import socket as raw_socket
from typing import Any

from sre.journey.exchange import TransportFailure
from sre.journey.result import Reason
from sre.journey.wire import LARGEST, Found, Unfit, read
from sre.probes.httphop import Answer, Headed, Hop, Way
from sre.probes.httpoptions import Told
from sre.probes.multipoll import IN, OUT, Transfers

__all__ = ["Exchange"]

_PIECE = 64 * 2**10
_MOST_READS = 32
_TOLD = {version: Told(version) for version in ("1.0", "1.1")}
_UNDER_WAY = (errno.EINPROGRESS, errno.EALREADY, errno.EINTR)


class Exchange:
    """One hop of one run.

    Attributes:
        carried: whose it is.
        began, connected, first, done: moments; 0 where it did not get so far.
        reset: the connection broke, in whatever way.
        ended: the other side closed it in good order.
        refused: the error number of a connection that was not made.
    """

    __slots__ = (
        "_left", "_reads", "_socket", "_transfers", "began", "carried", "connected", "data",
        "descriptor", "done", "ended", "first", "hop", "refused", "reset", "started", "way",
    )  # fmt: skip

    def __init__(self, transfers: Transfers, carried: Any, hop: Hop, way: Way) -> None:
        self._transfers, self.carried, self.hop, self.way = transfers, carried, hop, way
        self.started = self.connected = self.first = self.done = 0.0
        self.data, self._left, self._reads = b"", hop.wire, 0
        self.reset = self.ended = False
        self.refused = 0

    def start(self, started: float) -> bool:
        """Connect, and send at once where the connection is there at once.

        False: no attempt could be made, and nothing has left; another way may tell why.
        """
        admission = self.way.admission
        address = admission.address
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.started, self.began = started, time.monotonic()
        try:
            self._socket = made = raw_socket(family, _STREAM, 0)
            if not _BORN_SO:
                made.settimeout(0)
            code = made.connect_ex((address, admission.port))
        except (OSError, OverflowError):
            return False
        if code and code not in _UNDER_WAY:
            made.close()
            return False
        self.descriptor = made.fileno()
        try:
            self._push()  # a target nearby is connected by now: it saves a turn
        except BlockingIOError:
            pass
        except OSError as error:
            self.refused = error.errno or errno.ECONNREFUSED
        self._transfers.watch(self.descriptor, IN if self.connected else OUT, self)
        return True

    def close(self) -> None:
        """Let go of the socket."""
        self._transfers.forget(self.descriptor, closing=True)
        self._socket.close()

    def take(self) -> int:
        """The socket's descriptor, to be somebody else's from now on."""
        self._transfers.forget(self.descriptor)
        return self._socket.detach()

    def _push(self) -> None:
        sent = self._socket.send(self._left)
        if not self.connected:
            self.connected = time.monotonic()
        self._left = self._left[sent:]

    def ready(self, events: int, now: float) -> bool:
        """The socket is ready, since `now`; whether there is something to be told."""
        if self.refused:
            return True
        if not self.connected:
            self.refused = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if self.refused:
                return True
            self.connected = now
        try:
            if self._left:
                self._push()
            if events & OUT and not self._left:
                self._transfers.change(self.descriptor, IN)
            return bool(events & ~OUT) and self._receive(now)
        except BlockingIOError:
            return False
        except OSError:
            self.reset, self.done = True, time.monotonic()
            return True

    def _receive(self, now: float) -> bool:
        piece = self._socket.recv(_PIECE)
        self.done = time.monotonic()
        if piece:
            self.first = self.first or now
            self._reads += 1
            self.data = self.data + piece if self.data else piece
        else:
            self.ended = True
        return True

    def answer(self) -> Answer | Unfit:
        """What came of it so far; UNUSUAL: let libcurl tell."""
        if self.refused:
            return self._unconnected()
        if self.reset or (self.ended and not self.data):
            return Unfit.UNUSUAL
        request = self.hop.request
        decode = self.hop.options.compress != "none"
        found = read(self.data, ended=self.ended, limit=request.body_limit, decode=decode)
        if isinstance(found, Found):
            moved = found.status // 100 == 3  # libcurl tells where to
            return Unfit.UNUSUAL if moved else self._answered(found)
        long = self._reads > _MOST_READS or len(self.data) > LARGEST + _PIECE
        return Unfit.UNUSUAL if long else found

    def overdue(self, now: float) -> Answer | None:
        """Its time is up; None: let libcurl tell."""
        if self.data:
            return None
        where = "waiting for the first byte of the answer" if self.connected else "connecting"
        return self._failed(Reason.TIMEOUT, f"timed out {where}", now)

    def given_up(self, why: str) -> Answer:
        """It cannot go on, and that is our own fault."""
        return self._failed(Reason.PROBER, why, time.monotonic())

    def _answered(self, found: Found) -> Answer:
        started, admission = self.started, self.way.admission
        began, connected, first, done = self.began, self.connected, self.first, self.done
        phases = {
            "connect": connected - began,
            "processing": first - connected,
            "transfer": done - first,
        }
        if admission.seconds is not None:
            phases["resolve"] = admission.seconds
            done += admission.seconds
        response = Headed(
            found.status,
            (),
            found.body if self.hop.keep_body else b"",
            phases,
            started,
            started + done - began,
            None,
            admission.address,
            found.version,
            found.head,
            found.lower,
        )
        return Answer(response, _TOLD[found.version], found.size)

    def _unconnected(self) -> Answer:
        now = time.monotonic()
        if self.refused == errno.ETIMEDOUT:  # the system has given up
            return self._failed(Reason.TIMEOUT, "timed out connecting", now)
        admission = self.way.admission
        place = f"{admission.host}:{admission.port}"  # without brackets, as libcurl puts it
        if admission.host != admission.address:
            place += f" via {admission.address}:{admission.port}"
        took = f"after {1000 * (now - self.began):.0f} ms"
        message = f"Failed to connect to {place} {took}: Could not connect to server"
        return self._failed(Reason.CONNECT, message, now)

    def _failed(self, reason: Reason, message: str, now: float) -> Answer:
        admission, took = self.way.admission, now - self.began
        if reason is Reason.TIMEOUT:
            message += f" (total {took:.2f} s)"
        phases = {} if admission.seconds is None else {"resolve": admission.seconds}
        if self.connected:
            phases["connect"] = self.connected - self.began
        failure = TransportFailure(reason, message, sent=bool(self.connected))
        ended = self.started + (admission.seconds or 0.0) + took
        head = "\n"
        response = Headed(
            0, (), b"", phases, self.started, ended, failure, admission.address, "", head, head
        )
        return Answer(response)


_BORN_SO = getattr(socket, "SOCK_NONBLOCK", 0)
_STREAM = socket.SOCK_STREAM | _BORN_SO
