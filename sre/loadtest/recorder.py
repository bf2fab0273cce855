"""How does a finished journey become numbers, and how do numbers travel from worker to parent?

Response time is what the customer waits: the first step counts from the moment the customer was
due, each later one from the end of the step before it plus the planned pause. Service time is what
the shop took. A journey's are the sums over its steps; planned pauses and cleanup are left out.

A worker ships numbered deltas, each with what happened since the one before, and ends with one
that says `done`. The format is plain JSON and knows nothing of the pipe it travels through.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sre.journey.result import JourneyResult, Outcome, Reason, Row, StepResult
from sre.loadtest.book import Book, Series, Tally
from sre.loadtest.shape import WARMUP, Arrival
from sre.loadtest.trace import Exemplar, trace_of
from sre.loadtest.truth.entry import entry_of

__all__ = ["Collector", "Recorder", "response_times"]


_EXAMPLE = 300
_GOOD = ("ok", "degraded")
_BLOCKED = Outcome.BLOCKED  # asked of each request, and a member of an enum is slow to find
_NO_CONNECTION = frozenset({Reason.DNS, Reason.CONNECT, Reason.TLS})


def response_times(result: JourneyResult, lateness: float) -> list[tuple[StepResult, float]]:
    """Each step with its response time in seconds; `lateness` is that of the run itself."""
    times: list[tuple[StepResult, float]] = []
    for step in result.steps:
        waited = max(0.0, step.started - step.due)
        times.append((step, waited + step.seconds + (0.0 if times else lateness)))
    return times


# an enum is slow to say its value
_WORDS: dict[Outcome | Reason, str] = {word: word.value for word in (*Outcome, *Reason)}


def _outcome_of(outcome: Outcome, reason: Reason) -> str:
    if reason and reason is Reason.PROBER and outcome is Outcome.FAILED:
        return "prober"
    return _WORDS[outcome]


def _was_sent(row: Row) -> bool:
    """Whether the shop can have it in its log: a connection stood, to an admitted address."""
    return row.outcome is not _BLOCKED and row.reason not in _NO_CONNECTION


class Recorder:
    """The worker's side: takes events, gives deltas.

    Args:
        slot: seconds that a point of the time series covers.
        run_id: whose traces the requests carry; empty when they carry none.
        with_effects: journeys whose runs go to the ledger.
    """

    def __init__(
        self, slot: float, run_id: str = "", *, with_effects: Collection[str] = ()
    ) -> None:
        self._slot = slot
        self._with_effects = frozenset(with_effects)
        self._run_id = run_id
        self._book = Book()
        self._sent = 0

    def arrived(self, arrival: Arrival) -> None:
        """A customer was due."""
        self._tally(arrival).arrivals += 1

    def dropped(self, arrival: Arrival) -> None:
        """... and could not start: too many in flight."""
        self._tally(arrival).dropped += 1

    def started(self, arrival: Arrival, lateness: float) -> None:
        """... or started, `lateness` seconds after the due time."""
        self._tally(arrival).started += 1
        self._book.starts[self._slot_of(arrival.due + lateness)] += 1
        self._book.lateness.record(max(0.0, lateness))

    def finished(self, arrival: Arrival, result: JourneyResult, lateness: float) -> None:
        """... and came to an end of its own."""
        tally = self._tally(arrival)
        tally.finished += 1
        tally.ambiguous += result.ambiguous
        self._note(arrival, result)
        response, service = self._steps(arrival, result, lateness)
        last = result.steps[-1].started + result.steps[-1].seconds if result.steps else 0.0
        self._book.ends[self._slot_of(arrival.due + lateness + last)] += 1
        outcome = _outcome_of(result.outcome, result.reason)
        self._whole(arrival, outcome, _WORDS[result.reason], response, service)

    def abandoned(
        self, arrival: Arrival, age: float, result: JourneyResult | None, lateness: float
    ) -> None:
        """... or had no end when the drain was over, `age` seconds after the due time.

        Counts as a time-out after `age`; the steps that `result` has were real.
        """
        tally = self._tally(arrival)
        tally.abandoned += 1
        tally.ambiguous += self._has_effects(arrival) if result is None else result.ambiguous
        self._note(arrival, result)
        if result is not None:
            self._steps(arrival, result, lateness)
        self._whole(arrival, "failed", Reason.TIMEOUT.value, age, age)

    def delta(self, **more: Any) -> dict[str, Any]:
        """What happened since the last delta, and what the caller adds; then starts afresh."""
        self._sent += 1
        book, self._book = self._book, Book()
        return {"sequence": self._sent, "book": book.to_plain(), **more}

    def _steps(
        self, arrival: Arrival, result: JourneyResult, lateness: float
    ) -> tuple[float, float]:
        response = service = 0.0
        book, began = self._book, arrival.due + lateness
        for number, (step, waited) in enumerate(response_times(result, lateness)):
            seconds = step.seconds
            if step.name:  # a stop between two steps has none
                outcome = _outcome_of(step.outcome, step.reason)
                series = self._series(arrival, step.name)
                series.record(outcome, _WORDS[step.reason], waited, seconds)
                self._answered(began + step.started + seconds, outcome, seconds)
                if self._run_id:
                    self._exemplar(arrival, step, outcome, waited)
            book.requests += len([row for row in step.rows if _was_sent(row)])
            if number:
                book.lateness.record(max(0.0, step.started - step.due))
            if not step.cleanup:
                response += waited
                service += seconds
            if step.message:
                self._example(arrival.journey, step)
        if not result.steps or result.reason is Reason.PROBER:
            self._example(arrival.journey, result)
        return response, service

    def _answered(self, ended: float, outcome: str, service: float) -> None:
        answers, at = self._book.answers, self._slot_of(ended)
        if at not in answers:
            answers[at] = Series()
        answers[at].served(outcome, service)

    def _exemplar(self, arrival: Arrival, step: StepResult, outcome: str, response: float) -> None:
        failed, kept = outcome == "failed", self._book.exemplars
        if arrival.phase == WARMUP or not (failed or outcome in _GOOD):
            return
        if kept.wants(arrival.journey, step.name, response, failed=failed):
            trace = trace_of(self._run_id, arrival.journey, arrival.sequence)
            reason = step.reason.value if failed else ""
            found = Exemplar(response, arrival.due, trace, reason)
            kept.keep(arrival.journey, step.name, found)

    def _has_effects(self, arrival: Arrival) -> bool:
        return arrival.journey in self._with_effects

    def _note(self, arrival: Arrival, result: JourneyResult | None) -> None:
        if self._has_effects(arrival):
            entry = entry_of(arrival.journey, arrival.sequence, arrival.due, result)
            self._book.ledger.append(entry)

    def _example(self, journey: str, ended: StepResult | JourneyResult) -> None:
        if ended.reason and ended.message:
            step = ended.name if isinstance(ended, StepResult) else ""
            key = (journey, step, ended.reason.value)
            self._book.examples.setdefault(key, ended.message[:_EXAMPLE])

    def _whole(
        self, arrival: Arrival, outcome: str, reason: str, response: float, service: float
    ) -> None:
        self._series(arrival, "").record(outcome, reason, response, service)
        key = (arrival.journey, self._slot_of(arrival.due))
        slots = self._book.slots
        if key not in slots:
            slots[key] = Series()
        slots[key].record(outcome, "", response, service)

    def _slot_of(self, seconds: float) -> int:
        return int(seconds / self._slot)

    def _series(self, arrival: Arrival, step: str) -> Series:
        key = (arrival.journey, step, arrival.phase)
        series = self._book.series.get(key)
        if series is None:
            series = self._book.series[key] = Series()
        return series

    def _tally(self, arrival: Arrival) -> Tally:
        key = (arrival.journey, arrival.phase)
        tally = self._book.tallies.get(key)
        if tally is None:
            tally = self._book.tallies[key] = Tally()
        return tally


class Collector:
    """The parent's side of one worker: adds deltas up and notices a missing or doubled one."""

    def __init__(self) -> None:
        self.book = Book()
        self.deltas = 0
        self.gap = False
        self.done = False

    def add(self, delta: dict[str, Any]) -> Book:
        """Take one delta in; returns what it brought. KeyError, ValueError: not a delta."""
        if delta["sequence"] != self.deltas + 1 or self.done:
            self.gap = True
        self.deltas = delta["sequence"]
        news = Book.from_plain(delta["book"])
        self.book.merge(news)
        self.done = self.done or bool(delta.get("done"))
        return news

    @property
    def adds_up(self) -> bool:
        """Every arrival started or was dropped; every start ended or was given up."""
        return not self.gap and all(
            tally.arrivals == tally.started + tally.dropped
            and tally.started == tally.finished + tally.abandoned
            for tally in self.book.tallies.values()
        )
