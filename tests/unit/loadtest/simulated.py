"""Levels of a search against a shop made of arithmetic, judged by the real judges."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from sre.core.clock import FakeClock
from sre.journey.result import JourneyResult, Outcome, Reason, StepResult
from sre.loadtest.book import Book
from sre.loadtest.capacity.recovery import slot_of
from sre.loadtest.crew.model import Live, Watcher
from sre.loadtest.crew.vitals import Health
from sre.loadtest.histogram import Histogram
from sre.loadtest.job import Job
from sre.loadtest.judge.assemble import Ran, assemble
from sre.loadtest.judge.report import Facts, Report
from sre.loadtest.recorder import Recorder
from sre.loadtest.shape import Arrival
from tests.unit.loadtest.queueing import served

__all__ = ["SimulatedShop"]


class _Member:
    label, in_flight, stopped, running, lost, adds_up, clock = "w", 0, None, False, None, True, None

    def __init__(self, book: Book, cpu: float) -> None:
        self._book = book
        self.health = Health()
        self.lag = Histogram([cpu])

    def snapshot(self) -> Book:
        return self._book


class SimulatedShop:
    """Runs a level in no time: tills and one queue, which outlasts the level.

    Args:
        broken_for: seconds after an overload in which every customer fails (metastable).
        lag: of the generator's event loop in each level, by its rate.
    """

    def __init__(
        self,
        tills: int,
        service: float,
        *,
        broken_for: float = 0.0,
        lag: Callable[[float], float] = lambda _rate: 0.001,
        interrupt_at: int = 0,
    ) -> None:
        self.clock = FakeClock()
        self.tills, self.service, self.broken_for, self.lag = tills, service, broken_for, lag
        self.interrupt_at = interrupt_at
        self.folders: list[str] = []
        self._broken_until = 0.0

    def run(
        self, job: Job, folder: str, watchers: Sequence[Watcher], /, *, reported: bool
    ) -> tuple[Report, Ran]:
        self.folders.append(folder)
        rate = sum(job.shape.mix.values()) * job.shape.peak
        begin = self.clock.now()
        came = [arrival.due for arrival in job.arrivals]
        ends = [left for _, left in served(came, self.tills, self.service)]
        overloaded = rate > self.tills / self.service
        stopped, why, book = self._walk(job, begin, ends, watchers)
        length = job.shape.seconds if stopped is None else stopped
        if overloaded and self.broken_for:
            self._broken_until = begin + length + self.broken_for
        self.clock.advance(begin + length + 3.0 - self.clock.now())
        facts = Facts(
            job.name, f"{len(self.folders):016x}", "2026-11-22T10:00:00+00:00", job.shop.base_url,
            "staging", job.shape.seconds, length + 3.0, 1, 1, "open", float(job.test.warmup),
            stopped, key={"journey checkout": "0", "stages": "x"},
        )  # fmt: skip
        member: Any = _Member(book, self.lag(rate))
        aborted, signal = why, None
        if len(self.folders) == self.interrupt_at:
            aborted, signal = "terminated by SIGTERM", 15
        ran = Ran(facts, [member], slot_of(job.shape.seconds), None, aborted, signal)
        return assemble(job, ran), ran

    def _walk(
        self, job: Job, begin: float, ends: list[float], watchers: Sequence[Watcher]
    ) -> tuple[float | None, str | None, Book]:
        """Second by second, as the runner does: (stopped at, why, what was seen)."""
        recorder, book = Recorder(slot_of(job.shape.seconds)), Book()
        coming = deque(zip(job.arrivals, ends, strict=True))
        inside: deque[tuple[Arrival, float]] = deque()
        for second in range(1, int(job.shape.seconds) + 1):
            self._second(recorder, begin, coming, inside, float(second))
            book.merge(Book.from_plain(recorder.delta()["book"]))
            self.clock.advance(begin + second - self.clock.now())
            member: Any = _Member(book, 0.001)
            for watcher in watchers:
                if why := watcher.look(Live(float(second), [member])):
                    for arrival, _ in inside:
                        recorder.abandoned(arrival, second - arrival.due, None, 0.0)
                    book.merge(Book.from_plain(recorder.delta()["book"]))
                    return float(second), why, book
        self._second(recorder, begin, coming, inside, float("inf"))
        book.merge(Book.from_plain(recorder.delta()["book"]))
        return None, None, book

    def _second(
        self,
        recorder: Recorder,
        begin: float,
        coming: deque[tuple[Arrival, float]],
        inside: deque[tuple[Arrival, float]],
        at: float,
    ) -> None:
        while coming and coming[0][0].due <= at:
            arrival, end = coming.popleft()
            recorder.arrived(arrival)
            recorder.started(arrival, 0.0)
            inside.append((arrival, end))
        while inside and inside[0][1] <= at:  # first come, first served
            arrival, end = inside.popleft()
            recorder.finished(arrival, self._result(arrival, begin, end), 0.0)

    def _result(self, arrival: Arrival, begin: float, end: float) -> JourneyResult:
        broken = begin + arrival.due < self._broken_until
        outcome = Outcome.FAILED if broken else Outcome.OK
        reason = Reason.STATUS if broken else Reason.NONE
        seconds = end - arrival.due
        step = StepResult("till", outcome, seconds, reason=reason, message="503" if broken else "")
        return JourneyResult(arrival.journey, outcome, seconds, reason=reason, steps=(step,))
