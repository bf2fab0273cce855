"""How is a probe run, so that neither a hang nor a bug of ours takes anything else down?"""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sre.core.clock import Clock, Deadline, SystemClock
from sre.core.errors import SreError
from sre.core.secrets import redactor
from sre.journey.result import Outcome, Reason
from sre.probes.crew import Crew
from sre.probes.model import Check, ProbeContext, Reading, Result
from sre.probes.plan import Plan

if TYPE_CHECKING:
    from sre.probes.httphop import Talk
    from sre.probes.multi import Loop

__all__ = ["GRACE", "STOPPING", "Flight", "Passage", "Result", "look", "run_once"]

log = logging.getLogger(__name__)

GRACE = 2.0
"""Seconds after its timeout at which a run is given up: its kind ignored the deadline."""

STOPPING = 15.0
"""Seconds that cancelled runs get for their cleanup steps."""


def look(check: Check, context: ProbeContext) -> Reading:
    """Run one probe in this thread.

    Never raises: a secret that cannot be read, or a crash, is `failed` with reason `prober`.
    """
    started = time.monotonic()
    try:
        reading = check.probe.check(context)
    except Exception as error:  # noqa: BLE001  a kind's bug must not end the loop
        return _crashed(check, error, time.monotonic() - started)
    return _finished(check, reading)


def _finished(check: Check, reading: Reading) -> Reading:
    message = redactor.mask(reading.message) if reading.message else ""
    if message != reading.message:
        reading = replace(reading, message=message)
    return _slow(check, reading)


def _crashed(check: Check, error: Exception, seconds: float) -> Reading:
    if isinstance(error, SreError):
        message = redactor.mask(str(error))
        log.error("probe %s cannot run: %s", check.name, message)
    else:
        detail = redactor.mask("".join(traceback.format_exception(error)))
        log.error("probe %s (%s) crashed, a bug of ours:\n%s", check.name, check.kind, detail)
        message = f"the probe itself crashed: {type(error).__name__}"
    return Reading(Outcome.FAILED, seconds, Reason.PROBER, message)


def _slow(check: Check, reading: Reading) -> Reading:
    if check.slow is None or reading.outcome is not Outcome.OK or reading.seconds <= check.slow:
        return reading
    message = f"took {reading.seconds:.3f} s, slow above {check.slow:g} s"
    return replace(reading, outcome=Outcome.DEGRADED, reason=Reason.SLOW, message=message)


class Flight:
    """One run, which can be cancelled and, if it hangs, given up.

    Exactly one Result is handed to `landed`, from the run's thread or from `give_up`'s caller.
    A thread cannot be killed: one that hangs is left behind, a daemon that no exit waits for.
    """

    def __init__(
        self,
        check: Check,
        plan: Plan,
        clock: Clock,
        landed: Callable[[Flight, Result], None],
        sequence: int = 0,
        grace: float = GRACE,
    ) -> None:
        self.check = check
        self.started = clock.wall()
        self.deadline = Deadline.after(check.timeout + grace, clock)
        self._grace = grace
        self.alive = True
        """Whether it still runs, given up or not."""
        self._landed = landed
        self._cancelled = threading.Event()
        self._once = threading.Lock()
        self._told = False
        self._context = plan.context(check, clock, self._cancelled, sequence)

    def run(self) -> None:
        """Look, and tell. To be called once, in a thread of its own."""
        try:
            self._tell(look(self.check, self._context))
        finally:
            self.alive = False

    def cancel(self) -> None:
        """Ask the run to end early; its cleanup still happens."""
        self._cancelled.set()

    def give_up(self) -> None:
        """Stop waiting for a run that outlived its deadline; its thread is left behind."""
        self.cancel()
        message = f"no answer {self._grace:g} s after its timeout of {self.check.timeout:g} s"
        seconds = self.check.timeout + self._grace
        self._tell(Reading(Outcome.FAILED, seconds, Reason.PROBER, message))

    def _tell(self, reading: Reading) -> None:
        with self._once:
            told, self._told = self._told, True
        if not told:
            self._landed(self, Result(self.check.name, self.check.kind, reading, self.started))


class Passage:
    """One run that the loop carries, in whose thread all of it happens; else as a Flight."""

    __slots__ = ("_clock", "_context", "_landed", "alive", "check", "started")

    def __init__(
        self,
        check: Check,
        plan: Plan,
        clock: Clock,
        landed: Callable[[Passage, Result], None],
        sequence: int = 0,
    ) -> None:
        self.check, self.started, self.alive = check, clock.wall(), True
        self._clock, self._landed = clock, landed
        self._context = plan.context(check, clock, _NEVER, sequence)

    def board(self, loop: Loop) -> bool:
        """Begin; False where the probe needs a thread of its own for this run."""
        offer = getattr(self.check.probe, "talk", None)
        try:
            talk: Talk | None = None if offer is None else offer(self._context)
        except Exception:  # noqa: BLE001  in a thread it is told as what it is
            return False
        if talk is None:
            return False
        loop.carry(talk, self._context, self._arrive)
        return True

    def _arrive(self, outcome: Reading | Exception | None) -> None:
        self.alive = False
        if isinstance(outcome, Reading):
            reading = outcome
            if reading.message or self.check.slow is not None:
                reading = _finished(self.check, reading)
        elif outcome is None:
            seconds = self._clock.wall() - self.started
            reading = Reading(Outcome.FAILED, seconds, Reason.PROBER, "cancelled")
        else:
            reading = _crashed(self.check, outcome, self._clock.wall() - self.started)
        self._landed(self, Result(self.check.name, self.check.kind, reading, self.started))


_NEVER = threading.Event()
"""The loop cancels by closing."""


class _Batch:
    """Several flights at once, a few at a time, results in the order of the checks."""

    def __init__(self, plan: Plan, clock: Clock, workers: int) -> None:
        self.plan, self.clock, self.workers = plan, clock, workers
        self.crew = Crew()
        self.changed = threading.Condition()
        self.results: dict[str, Result] = {}
        self.flights: dict[str, Flight] = {}

    def land(self, flight: Flight, result: Result) -> None:
        with self.changed:
            self.results.setdefault(flight.check.name, result)
            self.flights.pop(flight.check.name, None)
            self.changed.notify_all()

    def run(self, checks: Sequence[Check], progress: Callable[[str], None]) -> None:
        waiting = deque(checks)
        while waiting or self.flights:
            while waiting and len(self.flights) < self.workers:
                check = waiting.popleft()
                flight = Flight(check, self.plan, self.clock, self.land)
                self.flights[check.name] = flight
                self.crew.do(flight.run)
            progress(", ".join(sorted(self.flights)))
            self._wait(0.2)
            for flight in list(self.flights.values()):
                if flight.deadline.passed():
                    flight.give_up()

    def cancel(self) -> None:
        for flight in list(self.flights.values()):
            flight.cancel()
        until = time.monotonic() + STOPPING
        while self.flights and time.monotonic() < until:
            self._wait(0.1)

    def _wait(self, seconds: float) -> None:
        with self.changed:
            if self.flights:
                self.changed.wait(seconds)


def run_once(
    checks: Sequence[Check],
    plan: Plan,
    *,
    clock: Clock | None = None,
    workers: int = 4,
    progress: Callable[[str], None] = lambda _running: None,
) -> list[Result]:
    """Run each check once, up to `workers` at a time; results in the order of `checks`.

    `progress` hears the names that are running, a few times a second. An interruption (Ctrl-C,
    SIGTERM) cancels what runs, waits for cleanup steps at most `STOPPING` seconds, then goes on.
    """
    batch = _Batch(plan, clock or SystemClock(), workers)
    try:
        batch.run(checks, progress)
    except BaseException:
        batch.cancel()
        raise
    finally:
        batch.crew.dismiss()
    return [batch.results[check.name] for check in checks]
