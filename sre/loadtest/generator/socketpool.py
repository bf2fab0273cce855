"""Which connection carries a plain request, and what is its answer? (child process only)

Connections are shared by all customers, as browsers of one household never would, but as libcurl's
pool does: one that is free is taken before a new one is made.

**Nothing is ever sent twice that must not be.** A request of an unsafe method goes on a connection
that is new, or was in use a moment ago and is looked at once more; whatever then becomes of it, it
is not sent again. A GET whose kept connection turns out to be gone is sent on a new one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from gevent import get_hub  # noqa: TID253  child process only

from sre.journey.exchange import Headed, Request, Response, TransportFailure
from sre.journey.guard import Admission
from sre.journey.model import SAFE_METHODS
from sre.journey.result import Reason
from sre.journey.wire import LARGEST, Found, Unfit, read
from sre.loadtest.generator.line import Line

__all__ = ["Odd", "SocketPool"]

_MOST_PIECES = 32
_LONGEST_IDLE = 118.0  # as libcurl has it
_FRESH = 1.0  # servers drop idle connections after two seconds and more
_SLACK = 0.0005


Keep = Callable[[Request, Headed], bool]


class Asked(NamedTuple):
    """One request and the circumstances of it."""

    request: Request
    admission: Admission
    started: float
    began: float
    keep: Keep | None


class Odd:
    """What has come is not plain: libcurl is to tell what it is. `line` None: nothing was sent."""

    __slots__ = ("began", "line", "started")

    def __init__(self, line: Line | None, started: float, began: float) -> None:
        self.line, self.started, self.began = line, started, began


class SocketPool:
    """The connections of one worker.

    Args:
        most: idle ones that are kept.
    """

    def __init__(self, now: Callable[[], float], most: int) -> None:
        self._now, self._most = now, max(1, most)
        self._loop: Any = get_hub().loop
        self._idle: dict[tuple[str, int], list[Line]] = {}
        self._kept = 0
        self._flying: set[Line] = set()
        self._timer: Any = self._loop.timer(1.0)
        self._wakes: float | None = None

    def perform(
        self,
        request: Request,
        wire: bytes,
        admission: Admission,
        started: float,
        keep: Keep | None,
    ) -> Response | Odd:
        """Send it and read its answer; other greenlets run meanwhile.

        Args:
            keep: takes the cookies of an answer in; False when they are not plain.
        """
        began = self._now()
        asked = Asked(request, admission, started, began, keep)
        line = self._free(request, admission, began) if request.keep_alive else None
        if line is not None:
            if self._carry(line, wire, asked) or not _untouched(line, request):
                return self._told(line, asked)
            line.close()
        line = Line(self._now, self._lost)
        if not line.open(admission):
            return Odd(None, started, began)
        self._carry(line, wire, asked)
        return self._told(line, asked)

    def _free(self, request: Request, admission: Admission, now: float) -> Line | None:
        lines = self._idle.get((admission.address, admission.port))
        unsafe = request.method not in SAFE_METHODS
        while lines:
            line = lines.pop()
            self._kept -= 1
            age = now - line.idle
            if age < (_FRESH if unsafe else _LONGEST_IDLE) and (not unsafe or line.alive):
                return line
            line.close()
        return None

    def _carry(self, line: Line, wire: bytes, asked: Asked) -> bool:
        """Send, and wait for the answer; False: nothing came of it."""
        limit, deadline = asked.request.body_limit, asked.began + asked.request.timeout
        line.begin(deadline)
        self._flying.add(line)
        if self._wakes is None or deadline < self._wakes - _SLACK:
            self._arm(deadline)
        try:
            if not line.send(wire):
                return False
            while True:
                line.wait()
                line.found = found = self._look(line, limit)
                if found is not Unfit.MORE or line.late:
                    return bool(line.data)
        except BaseException:  # the customer was stopped: its answer is nobody's
            line.close()
            raise
        finally:
            self._flying.discard(line)

    def _look(self, line: Line, limit: int) -> Found | Unfit:
        over = line.ended or line.reset
        if not line.data:
            return Unfit.UNUSUAL if over else Unfit.MORE
        if line.reset:
            return Unfit.UNUSUAL
        found = read(line.data, ended=line.ended, limit=limit, decode=True)
        if found is Unfit.MORE and (line.pieces > _MOST_PIECES or len(line.data) > LARGEST):
            return Unfit.UNUSUAL
        return found

    def _told(self, line: Line, asked: Asked) -> Response | Odd:
        request, admission, started, began, keep = asked
        found = line.found
        if not isinstance(found, Found):
            if line.late and not line.data:
                line.close()
                return self._overdue(line, asked)
            if line.refused:
                line.close()
                return Odd(None, started, began)
            return Odd(line, started, began)
        phases: dict[str, float] = {}
        fresh, ready = not line.used, began
        if admission.seconds is not None:
            phases["resolve"] = admission.seconds
        if fresh:
            ready = line.connected
            phases["connect"] = ready - began
        first, done = line.first, line.done
        phases["processing"], phases["transfer"] = first - ready, done - first
        ended = started + (admission.seconds or 0.0) + done - began
        answer = Headed(
            found.status, (), found.body, phases, started, ended, None,
            admission.address, found.version, found.head, found.lower,
        )  # fmt: skip
        if keep is not None and "\nset-cookie:" in found.lower and not keep(request, answer):
            return Odd(line, started, began)
        self._keep(line, found, request, admission)
        return answer

    def _keep(self, line: Line, found: Found, request: Request, admission: Admission) -> None:
        """The connection is free for another request, if both sides can use it again."""
        again = (
            request.keep_alive
            and not line.ended
            and found.version == "1.1"
            and found.taken == len(line.data)
            and "\nconnection:" not in found.lower
            and self._kept < self._most
        )
        if not again:
            line.close()
            return
        line.used, line.data, line.idle = True, b"", line.done
        self._kept += 1
        key = (admission.address, admission.port)
        if key not in self._idle:
            self._idle[key] = []
        self._idle[key].append(line)

    def _lost(self, line: Line) -> None:
        """An idle connection has come to its end."""
        for lines in self._idle.values():
            if line in lines:
                lines.remove(line)
                self._kept -= 1
        line.close()

    def _overdue(self, line: Line, asked: Asked) -> Response:
        admission, started, began = asked.admission, asked.started, asked.began
        where = "waiting for the first byte of the answer" if line.sent else "connecting"
        took = self._now() - began
        text = f"timed out {where} (total {took:.2f} s)"
        phases = {} if admission.seconds is None else {"resolve": admission.seconds}
        if line.connected and not line.used:
            phases["connect"] = line.connected - began
        return Response(
            failure=TransportFailure(Reason.TIMEOUT, text, sent=bool(line.sent)),
            phases=phases,
            started=started,
            ended=started + (admission.seconds or 0.0) + took,
            address=admission.address,
        )

    def _arm(self, deadline: float) -> None:
        self._wakes = deadline
        self._timer.stop()
        self._timer.close()
        self._timer = self._loop.timer(max(0.0, deadline - self._now()))
        self._timer.start(self._sweep)

    def _sweep(self) -> None:
        """Whose time is up?"""
        self._wakes = None
        now = self._now()
        for line in self._flying:
            if line.deadline <= now:
                line.late = True
                line.wake()
        coming = [line.deadline for line in self._flying if not line.late]
        if coming:
            self._arm(min(coming))


def _untouched(line: Line, request: Request) -> bool:
    """A kept connection turned out to be gone, and the request may go on another one."""
    gone = (line.ended or line.reset) and not line.data and not line.late
    return gone and (request.method in SAFE_METHODS or not line.sent)
