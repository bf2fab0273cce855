"""How does one thread carry hundreds of HTTP probes at the same time, none waiting for another?

Nothing in it blocks: DNS and the judging of large bodies happen in threads of a crew. A probe is a
`Talk`: it asks for hops and gets answers.
"""

from __future__ import annotations

import heapq
import itertools
import resource
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from sre.core.errors import UsageError
from sre.journey.guard import Admission, Blocked, Unresolved
from sre.journey.resolve import unanswered
from sre.journey.shop import origin_of
from sre.journey.transport import refusal
from sre.journey.wire import Unfit
from sre.probes.carried import Carried, Landed, step_of
from sre.probes.crew import Crew
from sre.probes.httpbridge import crossing
from sre.probes.httphop import Answer, Hop, Talk, Way
from sre.probes.httpline import Line, new_line
from sre.probes.httpraw import Exchange
from sre.probes.model import ProbeContext, Reading
from sre.probes.multinames import Found, Names
from sre.probes.multipoll import Transfers

__all__ = ["Landed", "Loop"]

_MOST = 1000
_SPARE_FILES = 200
_HEAVY = 64 * 2**10
"""Bytes of a body above which judging it is left to a thread."""

_JUDGING = 2.0
"""Seconds beyond the deadline that judging may take."""

_LAST_LOOK = 0.005
"""Seconds for libcurl to read what came of an answer until its time was up."""

_IDLE_HANDLES = 256


class Loop:
    """Runs talks. All methods but `wake` belong to the thread that `work`s.

    Args:
        raw: plain requests may go over sockets of ours; otherwise libcurl carries all of them.
    """

    def __init__(self, crew: Crew, *, raw: bool = True) -> None:
        self._crew, self._raw = crew, raw
        self._transfers = Transfers()
        self._carried: set[Carried] = set()
        self._idle: list[Line] = []
        self._inbox: deque[Callable[[], None]] = deque()
        self._new: deque[Carried] = deque()
        self._limits: list[tuple[float, int, Carried]] = []
        self._tickets = itertools.count(1)
        self._names = Names(crew, self._deliver)
        self._attention = False
        self._thread = 0
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.capacity = max(16, min(_MOST, soft - _SPARE_FILES))

    def __len__(self) -> int:
        return len(self._carried)

    @property
    def full(self) -> bool:
        """No further run can be carried now."""
        return len(self._carried) >= self.capacity

    def carry(self, talk: Talk, context: ProbeContext, landed: Landed) -> None:
        """Begin a run; `landed` is told in `work`, never from inside this call."""
        carried = Carried(talk, context, landed)
        self._carried.add(carried)
        self._new.append(carried)

    def work(self, seconds: float) -> None:
        """Carry on for so long, or until `wake`; something is done in any case."""
        seconds = max(seconds, 1e-6)
        until = time.monotonic() + seconds
        self._thread = threading.get_ident()
        self._deliveries()
        left = seconds
        while left > 0:
            self._once(0.0 if self._attention else left)
            left = 0.0 if self._attention else until - time.monotonic()
        self._attention = False

    def wake(self) -> None:
        """Let `work` return, from any thread."""
        self._attention = True
        if threading.get_ident() != self._thread:  # in its own, it looks before it sleeps
            self._transfers.wake()

    def close(self) -> None:
        """Cancel what runs and close all connections."""
        for carried in list(self._carried):
            self._land(carried, None)
        for line in self._idle:
            line.close()
        self._transfers.close()

    def _once(self, seconds: float) -> None:
        limits = self._limits
        while limits and limits[0][2].ticket != limits[0][1]:
            heapq.heappop(limits)
        if limits:
            seconds = min(seconds, limits[0][0] - time.monotonic())
        for handle, error in self._transfers.wait(0.0 if self._inbox else seconds):
            line: Line = handle.line
            self._answered(line.carried, line.end(error))
        for exchange in self._transfers.news():
            self._heard(exchange)
        self._deliveries()
        if self._limits:
            self._overdue()

    def _deliver(self, what: Callable[[], None]) -> None:
        """From a thread of the crew: do this in the loop's own."""
        self._inbox.append(what)
        self._transfers.wake()

    def _deliveries(self) -> None:
        while self._new:
            self._go_on(self._new.popleft(), None)
        while self._inbox:
            self._inbox.popleft()()

    def _answered(self, carried: Carried, answer: Answer) -> None:
        if answer.size > _HEAVY and carried.hop is not None and carried.hop.keep_body:
            self._aside(carried, answer)
        else:
            self._go_on(carried, answer)

    def _go_on(self, carried: Carried, answer: Answer | None) -> None:
        step = step_of(carried.talk, answer)
        if isinstance(step, Hop):
            self._send(carried, step)
        else:
            self._land(carried, step)

    def _aside(self, carried: Carried, answer: Answer) -> None:
        """Judge in a thread: a large body may take its time."""
        ticket = self._await(carried, carried.context.deadline.at + _JUDGING)

        def judge() -> None:
            step = step_of(carried.talk, answer)
            self._deliver(lambda: back(step))

        def back(step: Hop | Reading | Exception) -> None:
            if carried.ticket != ticket:
                return
            carried.ticket = 0
            if isinstance(step, Hop):
                self._send(carried, step)
            else:
                self._land(carried, step)

        self._crew.do(judge)

    def _send(self, carried: Carried, hop: Hop) -> None:
        guard, now = carried.context.guard, carried.context.clock.now()
        _, host, port = origin_of(hop.request.url)
        place = (host, port, hop.options.families)
        carried.hop, carried.asked, carried.ends = hop, now, now + hop.timeout
        try:
            way = carried.pins.get(place) if carried.pins else None
            if way is None:
                way = self._names.at_once(guard, place, now)
        except (Blocked, Unresolved) as error:
            self._answered(carried, Answer(refusal(error, now)))
            return
        if way is not None:
            self._fly(carried, way)
            return
        ticket = self._await(carried, carried.ends)
        self._names.ask(guard, place, lambda found, at: self._found(carried, ticket, found, at))

    def _found(self, carried: Carried, ticket: int, found: Found, at: float) -> None:
        if carried.ticket != ticket:
            return
        carried.ticket = 0
        if not isinstance(found, Admission):
            self._answered(carried, Answer(refusal(found, carried.asked)))
            return
        took = max(0.0, min(found.seconds or 0.0, at - carried.asked))
        self._fly(carried, Way(replace(found, seconds=took)))

    def _fly(self, carried: Carried, way: Way) -> None:
        hop, context, line = carried.hop, carried.context, carried.line
        if hop is None:
            return
        if way.target is not None and way.target.seconds is not None:  # its name is known now
            place = (*origin_of(hop.request.url)[1:], hop.options.families)
            carried.pins = {**(carried.pins or {}), place: way.later()}
        if self._raw and hop.wire and line is None and way.proxy is None:
            exchange = Exchange(self._transfers, carried, hop, way)
            if exchange.start(carried.asked):
                carried.exchange = exchange
                self._await(carried, carried.ends)
                return
        line = self._line(carried)
        try:
            line.begin(hop, way, carried.asked, max(0.001, carried.ends - context.clock.now()))
        except UsageError as error:
            self._land(carried, error)
            return
        self._transfers.start(line.handle)

    def _line(self, carried: Carried) -> Line:
        line = carried.line
        if line is None:
            line = carried.line = self._idle.pop() if self._idle else new_line()
            line.carried = carried
        return line

    def _heard(self, exchange: Exchange) -> None:
        """A socket of ours has news."""
        answer = exchange.answer()
        if answer is Unfit.UNUSUAL:
            self._cross(exchange, exchange.carried.ends - time.monotonic())
        elif isinstance(answer, Answer):
            self._over(exchange, answer)

    def _over(self, exchange: Exchange, answer: Answer) -> None:
        carried = exchange.carried
        exchange.close()
        carried.exchange, carried.ticket = None, 0
        self._answered(carried, answer)

    def _cross(self, exchange: Exchange, seconds: float) -> None:
        """Let libcurl tell what this answer is."""
        carried, bridge = exchange.carried, crossing(self._transfers, exchange)
        if isinstance(bridge, Answer):
            self._over(exchange, bridge)
            return
        carried.exchange, carried.ticket = None, 0
        line = self._line(carried)
        line.begin(exchange.hop, exchange.way, carried.asked, max(_LAST_LOOK, seconds))
        line.cross(bridge)
        self._transfers.start(line.handle)

    def _await(self, carried: Carried, until: float) -> int:
        """The run now waits for a thread, at most so long."""
        carried.ticket = next(self._tickets)
        heapq.heappush(self._limits, (until, carried.ticket, carried))
        return carried.ticket

    def _overdue(self) -> None:
        now = time.monotonic()
        while self._limits and self._limits[0][0] <= now:
            _, ticket, carried = heapq.heappop(self._limits)
            if carried.ticket != ticket or carried.hop is None:
                continue
            carried.ticket = 0
            if carried.exchange is not None:
                self._late(carried.exchange, now)
            elif now < carried.context.deadline.at + _JUDGING:  # it waited for DNS
                _, host, _ = origin_of(carried.hop.request.url)
                error = unanswered(host, carried.hop.timeout)
                self._go_on(carried, Answer(refusal(error, carried.asked)))
            else:
                self._land(carried, TimeoutError("the answer took too long to be judged"))

    def _late(self, exchange: Exchange, now: float) -> None:
        if (answer := exchange.overdue(now)) is not None:
            self._over(exchange, answer)
        else:
            self._cross(exchange, 0.0)

    def _land(self, carried: Carried, outcome: Reading | Exception | None) -> None:
        self._carried.discard(carried)
        carried.ticket = 0
        line, exchange = carried.line, carried.exchange
        if exchange is not None:
            exchange.close()
            carried.exchange = None
        if line is not None:
            carried.line = line.carried = None
            if outcome is None or len(self._idle) >= _IDLE_HANDLES:
                line.close()
            else:
                line.forget()
                self._idle.append(line)
        carried.landed(outcome)
