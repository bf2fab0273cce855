"""How do probes run for months: on time, never twice at once, none of them holding up another?

One thread keeps the timetable and carries the plain HTTP probes on a loop of its own; each other
run has a thread to itself, `workers` at most. What to do with a slot is decided in `timetable`,
which knows no clock.
"""

from __future__ import annotations

import heapq
import logging
import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable
from functools import partial

from sre.core.clock import Clock, SystemClock
from sre.core.secrets import redactor
from sre.probes.budgets import Budgets
from sre.probes.crew import Crew
from sre.probes.landing import Landing
from sre.probes.model import Check
from sre.probes.multi import Loop
from sre.probes.plan import Plan
from sre.probes.record import Record
from sre.probes.runner import GRACE, STOPPING, Flight, Passage, Result
from sre.probes.spending import Ledger
from sre.probes.timetable import Due, Skip, Timetable, decide
from sre.probes.tuning import tuned

__all__ = ["Scheduler"]

log = logging.getLogger(__name__)

_TICK = 1.0

_SLACK = 0.004
"""Seconds that a slot may wait, so that probes which are due nearly together share a wake-up."""


class Scheduler:
    """Runs the checks of a plan on their timetable until it is stopped.

    Args:
        workers: runs in threads at the same time; when all are busy a slot waits, and is skipped
            as late after half an interval.
        grace: seconds beyond its timeout after which a run is given up.
        listener: told of each finished run, in the run's own thread; it must not take long.
        ledger: where runs with side effects are written down; None forgets them with the process.
    """

    def __init__(
        self,
        plan: Plan,
        record: Record,
        *,
        clock: Clock | None = None,
        workers: int = 32,
        grace: float = GRACE,
        listener: Callable[[Result], None] | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._shift = self._clock.wall() - self._clock.now()
        self._record = record
        self._workers = workers
        self._grace = grace
        self._held = threading.RLock()
        self._changed = threading.Condition(self._held)
        self._stopping = False
        self._waiting: deque[Due] = deque()
        self._flights: dict[str, Flight] = {}
        self._aloft: dict[str, Passage] = {}
        self._loop: Loop | None = None
        self._hung: dict[str, Flight] = {}
        self._crew = Crew()
        self._launched: Counter[str] = Counter()
        self._budgets = Budgets(ledger)
        self._landing = Landing(record, self._clock, listener, self._again)
        self._further: list[tuple[float, str]] = []
        self._confirming: set[Flight | Passage] = set()
        self._plan = plan
        self._take_over(plan, known=frozenset())

    def replace(self, plan: Plan) -> None:
        """Take over another plan; unchanged probes keep their slots, running ones finish."""
        with self._changed:
            known = frozenset(check.name for check in self._plan.checks)
            self._take_over(plan, known)
            self._wake()

    def _take_over(self, plan: Plan, known: frozenset[str]) -> None:
        self._plan = plan
        self._record.adopt(plan)
        self._timetable = Timetable(plan.checks, self._now(), known)
        self._checks = {check.name: check for check in plan.checks}
        kept = (due for due in self._waiting if self._checks.get(due.check.name) == due.check)
        self._waiting = deque(kept)
        self._budgets.adopt(plan.checks)
        self._landing.adopt(plan)

    def run(self) -> None:
        """Work until `stop` is called, in this thread."""
        loop = self._loop = Loop(self._crew)
        with tuned():
            while not self._stopping:
                loop.work(self._turn())
            loop.close()

    def _turn(self) -> float:
        """Do what is due; seconds until something is due again."""
        with self._held:
            try:
                self._round()
            except Exception as error:  # noqa: BLE001  a bug of ours must not end the watch
                detail = "".join(traceback.format_exception(error))
                log.error("the scheduler stumbled, a bug of ours:\n%s", redactor.mask(detail))
            return self._pause()

    def stop(self, grace: float = STOPPING) -> None:
        """Start nothing more; cancel what runs and wait for cleanup steps, `grace` seconds."""
        with self._changed:
            self._stopping = True
            for flight in self._flights.values():
                flight.cancel()
            self._wake()
            until = time.monotonic() + grace
            while (self._flights or self._aloft) and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
        self._crew.dismiss()
        self._landing.close()
        if self._flights:
            log.warning("still running after %g s: %s", grace, ", ".join(self._flights))

    def _wake(self) -> None:
        """Something changed; to be called with the lock held."""
        self._changed.notify_all()
        if self._loop is not None:
            self._loop.wake()

    def _now(self) -> float:
        """Seconds since the epoch at the start, and from there without any jump."""
        return self._clock.now() + self._shift

    def _round(self) -> None:
        now = self._now()
        for flight in list(self._flights.values()):
            if flight.deadline.passed():
                self._hung[flight.check.name] = flight
                flight.give_up()
        for due in self._timetable.take(now):
            if due.missed:
                self._record.skip(due.check.name, Skip.LATE, due.missed)
            self._waiting.append(due)
        while self._further and self._further[0][0] <= now:
            at, name = heapq.heappop(self._further)
            if name in self._checks:
                self._waiting.append(Due(self._checks[name], at, further=True))
        ready, self._waiting = self._waiting, deque()
        for due in ready:
            self._settle(due, now)

    def _settle(self, due: Due, now: float) -> None:
        name = due.check.name
        hung = self._hung.get(name)
        running = name in self._flights or name in self._aloft or (hung is not None and hung.alive)
        affordable = self._budgets.affords(name, now)
        skip = decide(due, now, running=running, affordable=affordable)
        if skip is not None and due.further:
            return  # the run of the schedule that is in its way says as much
        if skip is not None:
            self._record.skip(name, skip)
            log.info("probe %s not run: %s", name, skip)
        elif not self._room(due.check):
            self._waiting.append(due)
        else:
            self._launch(due, now)

    def _room(self, check: Check) -> bool:
        if self._loop is not None and hasattr(check.probe, "talk"):
            return not self._loop.full
        return len(self._flights) < self._workers

    def _launch(self, due: Due, now: float) -> None:
        name = due.check.name
        number = self._launched[name]
        passage = Passage(due.check, self._plan, self._clock, self._land, number)
        flight: Flight | Passage = passage
        if self._loop is None or not passage.board(self._loop):
            if len(self._flights) >= self._workers:
                self._waiting.append(due)
                return
            flight = Flight(due.check, self._plan, self._clock, self._land, number, self._grace)
        self._hung.pop(name, None)
        self._launched[name] += 1
        if due.further:
            self._confirming.add(flight)
        else:
            self._record.lag(name, max(0.0, now - due.at))
        if isinstance(flight, Passage):
            self._aloft[name] = flight
        else:
            self._flights[name] = flight
            self._crew.do(partial(self._fly, flight))

    def _fly(self, flight: Flight) -> None:
        """In a thread of the crew: writing down what a run spends may take its time."""
        if self._budgets.spend(flight.check.name, self._now()):
            flight.run()
            return
        self._record.skip(flight.check.name, Skip.BUDGET)
        with self._changed:
            flight.alive = False
            self._gone(flight)

    def _again(self, check: Check, seconds: float) -> None:
        """A further attempt is wanted."""
        with self._changed:
            heapq.heappush(self._further, (self._now() + seconds, check.name))
            self._wake()

    def _land(self, flight: Flight | Passage, result: Result) -> None:
        further = flight in self._confirming
        self._confirming.discard(flight)
        self._landing.take(flight.check, result, further=further)
        with self._held:
            self._gone(flight)

    def _gone(self, flight: Flight | Passage) -> None:
        """To be called with the lock held."""
        for flights in (self._flights, self._aloft):
            if flights.get(flight.check.name) is flight:
                del flights[flight.check.name]
        if self._waiting or self._stopping:
            self._wake()

    def _pause(self) -> float:
        wakes = [flight.deadline.left() for flight in self._flights.values()]
        wake = self._timetable.next_wake()
        if wake is not None:
            left = wake - self._now()
            wakes.append(left + _SLACK if left > 0 else left)
        if self._further:
            wakes.append(self._further[0][0] - self._now())
        return max(0.0, min([_TICK, *wakes]))
