"""When does which customer set out, and what is told to the parent? (child process only)"""

from __future__ import annotations

import logging
import random
import signal
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

import gevent  # noqa: TID253  child process only
from gevent.event import Event  # noqa: TID253

from sre.core.secrets import redactor
from sre.journey.engine import Cancelled, RunContext, VirtualUser, run
from sre.journey.exchange import Request, Response, Wait
from sre.journey.guard import Guard
from sre.journey.model import Journey
from sre.journey.result import JourneyResult, Outcome, Reason, StepResult
from sre.loadtest.crew.vitals import Canary, Vitals
from sre.loadtest.crew.wire import WorkerPlan
from sre.loadtest.generator.browser import Browser, Ways
from sre.loadtest.histogram import Histogram
from sre.loadtest.recorder import Recorder
from sre.loadtest.shape import Arrival, shard
from sre.loadtest.trace import trace_of

__all__ = ["Dispatcher"]

_TICK = 0.010
_REPORT = 1.0
_STOP_DRAIN = 3.0
_CLEANUP = 1.5
_IDLE = 0.05
_LOG = logging.getLogger(__name__)


class _Stop(BaseException):
    """The drain is over: end this customer, clean up."""


@dataclass
class _User:
    """A virtual user: a browser, and for journeys with `setup` what stays of each."""

    number: int
    browser: Browser
    kept: dict[str, tuple[VirtualUser, Browser]] = field(default_factory=dict)


class Dispatcher:
    """One worker's arrivals, customers and reports.

    Args:
        send: where deltas go.

    Attributes:
        begin: when the run starts, on the clock `now`; set before `walk`.
        stop_drain: seconds that journeys in flight get when the run is stopped early.
        on_step: told of every step, as Locust's `request` event is, while somebody `listens`.
        over: set when everything has been reported.
    """

    def __init__(
        self, plan: WorkerPlan, now: Callable[[], float], send: Callable[[dict[str, Any]], None]
    ) -> None:
        self._plan, self._now, self._write = plan, now, send
        guard = Guard(plan.targets.allow, plan.shop.base_url)
        self._ways = Ways(guard, now, pool=plan.max_in_flight)
        traced = plan.run_id if plan.trace else ""
        self._recorder = Recorder(plan.slot, traced, with_effects=plan.with_effects)
        self._lag = Histogram()
        self._canary = Canary()
        self._sips: list[tuple[float, float]] = []
        self._idle: list[_User] = []
        self._made = 0
        self._flying: dict[Any, Arrival] = {}
        self._stop = Event()
        self.over = Event()
        self.begin = 0.0
        self.stop_drain = _STOP_DRAIN
        self.on_step: Callable[..., Any] = lambda **_: None
        self.listens: Callable[[], bool] = lambda: False

    def say_ready(self) -> None:
        """Tell the parent that the start may be set."""
        self._write({"ready": True})

    def stop(self) -> None:
        """No more arrivals; `walk` drains for a short while and ends."""
        self._stop.set()

    def walk(self) -> None:
        """Send everything, drain, report `done`."""
        gevent.signal_handler(signal.SIGTERM, self._stop.set)
        vitals = Vitals(self._now())
        helpers = [
            gevent.spawn(self._tick),
            gevent.spawn(self._sip),
            gevent.spawn(self._report, vitals),
        ]
        stopped: float | None = None
        try:
            self._open() if self._plan.users is None else self._closed(self._plan.users)
            if self._stop.is_set():
                stopped = self._at()
            self._drain()
        finally:
            gevent.killall(helpers)
            self._send(vitals, done=True, stopped=stopped)
            self.over.set()

    def _open(self) -> None:
        plan = self._plan
        for arrival in shard(plan.shape.arrivals(), plan.worker, plan.workers):
            while (wait := self.begin + arrival.due - self._now()) > 0:
                if self._stop.wait(wait):
                    return
            if self._stop.is_set():
                return
            self._recorder.arrived(arrival)
            if len(self._flying) >= plan.max_in_flight:
                self._recorder.dropped(arrival)
                continue
            user = self._idle.pop() if self._idle else self._new_user()
            self._launch(arrival, user)
        self._stop.wait(max(0.0, self.begin + self._plan.shape.seconds - self._now()))

    def _closed(self, users: int) -> None:
        mine = range(self._plan.worker, users_at_peak(users, self._plan), self._plan.workers)
        loops = [gevent.spawn(self._loop, number, users) for number in mine]
        self._stop.wait(max(0.0, self.begin + self._plan.shape.seconds - self._now()))
        gevent.killall(loops)

    def _loop(self, number: int, users: int) -> None:
        user = _User(number, Browser(self._ways))
        draw = random.Random(f"{self._plan.shape.seed}:user:{number}")  # noqa: S311
        names = sorted(self._plan.journeys)
        count = 0
        while not self._stop.is_set() and (at := self._at()) < self._plan.shape.seconds:
            if at < 0 or number >= self._plan.shape.level(at) * users:
                gevent.sleep(max(_IDLE, -at))
                continue
            sequence = number + count * users_at_peak(users, self._plan)
            phase = self._plan.shape.phase(at)
            arrival = Arrival(sequence, draw.choice(names), at, phase, sequence)
            self._recorder.arrived(arrival)
            count += 1
            self._launch(arrival, user).join()

    def _launch(self, arrival: Arrival, user: _User) -> Any:
        customer = gevent.spawn(self._serve, arrival, user)
        self._flying[customer] = arrival
        return customer

    def _serve(self, arrival: Arrival, user: _User) -> None:
        lateness = self._at() - arrival.due
        self._recorder.started(arrival, lateness)
        try:
            result, complete = self._drive(arrival, user)
        except gevent.GreenletExit:
            self._recorder.abandoned(arrival, self._at() - arrival.due, None, lateness)
        except Exception as error:  # noqa: BLE001  a bug of ours must not end the other customers
            _LOG.exception("journey %s failed in the generator", arrival.journey)
            self._recorder.finished(arrival, _broken(arrival.journey, error), lateness)
        else:
            if complete:
                self._recorder.finished(arrival, result, lateness)
            else:
                self._recorder.abandoned(arrival, self._at() - arrival.due, result, lateness)
            self._tell(result)
        self._flying.pop(gevent.getcurrent(), None)
        if self._plan.users is None:
            self._idle.append(user)

    def _drive(self, arrival: Arrival, user: _User) -> tuple[JourneyResult, bool]:
        journey = self._plan.journeys[arrival.journey]
        virtual, browser = self._customer(journey, user)
        context = RunContext(
            self._plan.shop,
            self._now,
            run_id=self._plan.run_id,
            user=virtual,
            sequence=arrival.sequence,
            seed=f"{self._plan.shape.seed}:{arrival.journey}:{arrival.sequence}",
            mode="load",
            trace=trace_of(self._plan.run_id, arrival.journey, arrival.sequence)
            if self._plan.trace
            else "",
            resend=self._plan.resent(arrival.journey, arrival.sequence),
        )
        try:
            return _drive(run(journey, context), browser)
        finally:
            if not journey.setup:
                browser.forget()

    def _customer(self, journey: Journey, user: _User) -> tuple[VirtualUser, Browser]:
        if not journey.setup:
            return VirtualUser(user.number), user.browser
        if journey.name not in user.kept:
            user.kept[journey.name] = (VirtualUser(user.number), Browser(self._ways))
        return user.kept[journey.name]

    def _new_user(self) -> _User:
        number = self._made * self._plan.workers + self._plan.worker
        self._made += 1
        return _User(number, Browser(self._ways))

    def _tell(self, result: JourneyResult) -> None:
        for step in result.steps if self.listens() else ():
            self.on_step(
                request_type=result.journey,
                name=step.name,
                response_time=step.seconds * 1000,
                response_length=sum(row.received_bytes for row in step.rows),
                exception=None if step.outcome.good else RuntimeError(step.reason or step.outcome),
                context={},
            )

    def _drain(self) -> None:
        end = self._now() + self._plan.drain
        while self._flying and self._now() < end:
            if self._stop.is_set():
                end = min(end, self._now() + self.stop_drain)
                gevent.joinall(list(self._flying), timeout=max(0.0, end - self._now()))
            else:
                gevent.joinall(list(self._flying), timeout=_IDLE)
        for ending in (_Stop, gevent.GreenletExit):
            left = list(self._flying)
            gevent.killall(left, exception=ending, block=False)
            gevent.joinall(left, timeout=_CLEANUP)

    def _tick(self) -> None:
        while True:
            before = self._now()
            gevent.sleep(_TICK)
            self._lag.record(max(0.0, self._now() - before - _TICK))

    def _sip(self) -> None:
        pool = gevent.get_hub().threadpool
        while True:
            self._sips.append(pool.apply(self._canary.sip))
            gevent.sleep(_REPORT)

    def _report(self, vitals: Vitals) -> None:
        while True:
            gevent.sleep(_REPORT)
            self._send(vitals)

    def _send(self, vitals: Vitals, **more: Any) -> None:
        lag, self._lag = self._lag, Histogram()
        sips, self._sips = self._sips, []
        seen = vitals.sample(self._now()) | {"sips": sips}
        delta = self._recorder.delta(
            lag=lag.to_plain(),
            vitals=seen,
            in_flight=len(self._flying),
            **more,
        )
        self._write(delta)

    def _at(self) -> float:
        return self._now() - self.begin


def users_at_peak(users: int, plan: WorkerPlan) -> int:
    """How many virtual users the highest stage of a closed model has."""
    return max(1, round(users * plan.shape.peak))


def _broken(journey: str, error: Exception) -> JourneyResult:
    message = redactor.mask(f"{type(error).__name__}: {error}")
    step = StepResult("", Outcome.FAILED, 0.0, reason=Reason.PROBER, message=message)
    why = Reason.PROBER
    return JourneyResult(journey, Outcome.FAILED, 0.0, reason=why, steps=(step,), ambiguous=True)


def _drive(
    steps: Generator[Request | Wait, Response | None, JourneyResult], browser: Browser
) -> tuple[JourneyResult, bool]:
    """One run of a journey to its end; the flag is False when it was stopped on the way."""
    complete = True
    try:
        command = next(steps)
        while True:
            try:
                if isinstance(command, Request):
                    answer: Response | None = browser.perform(command)
                else:
                    gevent.sleep(command.seconds)
                    answer = None
            except _Stop:
                complete = False
                command = steps.throw(Cancelled())
                continue
            command = steps.send(answer)
    except StopIteration as end:
        return end.value, complete
