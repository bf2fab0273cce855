"""How does what a run left behind become a report with a verdict? (pure)"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from sre.loadtest.book import Book
from sre.loadtest.crew.model import Member
from sre.loadtest.histogram import Histogram
from sre.loadtest.job import Job
from sre.loadtest.judge.finding import Finding
from sre.loadtest.judge.report import (
    Facts,
    Report,
    build_parts,
    checks_of,
    counts_of,
    phases_of,
    points_of,
)
from sre.loadtest.judge.validity import Evidence, JourneyCounts, doubts, lateness_limit
from sre.loadtest.judge.verdict import judge
from sre.loadtest.truth.ledger import ledger_of

__all__ = ["Ran", "assemble"]


@dataclass(frozen=True)
class Ran:
    """A run that is over, not judged yet.

    Attributes:
        slot: seconds that a point of the time series covers.
        steal: the share of the machine's CPU that its host took away; None where unknown.
        aborted: why it was stopped before its end; None if it was not.
        signal: the signal that did it, if one did.
    """

    facts: Facts
    members: Sequence[Member]
    slot: float
    steal: float | None = None
    aborted: str | None = None
    signal: int | None = None

    @cached_property
    def book(self) -> Book:
        """Everything that was seen, of all members together."""
        book = Book()
        for member in self.members:
            book.merge(member.snapshot())
        return book


def assemble(
    job: Job, ran: Ran, findings: Sequence[Finding] = (), *, with_ledger: bool = True
) -> Report:
    """The whole report. `findings` is what invariants and comparisons said."""
    book, facts = ran.book, ran.facts
    journeys, steps, groups = build_parts(job, book)
    checks = checks_of(job, book)
    until = facts.planned_seconds if facts.stopped is None else facts.stopped
    points = points_of(job, book, ran.slot, until)
    planned = None if job.test.closed else sum(point.planned for point in points)
    on_time = book.starts.total() - _after(book, int(until / ran.slot) + 1)
    on_time += sum(tally.dropped for tally in book.tallies.values())
    evidence = _evidence(ran, planned, on_time, counts_of(job, journeys))
    found = doubts(evidence, tightest=job.tightest)
    return Report(
        facts=facts,
        verdict=judge(checks, found, findings=findings, aborted=ran.aborted),
        journeys=journeys,
        steps=steps,
        groups=groups,
        checks=checks,
        evidence=evidence,
        lateness_limit=lateness_limit(job.tightest),
        slot=ran.slot,
        points=points,
        phases=phases_of(job, book),
        requests=book.requests,
        ambiguous={part.label: part.tally.ambiguous for part in journeys},
        findings=tuple(findings),
        ledger=ledger_of(job, ran.members, until).to_lines()
        if job.with_effects and with_ledger
        else None,
    )


def _evidence(
    ran: Ran, planned: int | None, on_time: int, journeys: dict[str, JourneyCounts]
) -> Evidence:
    crew = ran.members
    return Evidence(
        planned=planned,
        on_time=on_time,
        lateness=ran.book.lateness,
        loop_lag=_merged([member.lag for member in crew]),
        cpu=max((member.health.busiest for member in crew), default=0.0),
        starvation=_worst([member.health.starvation for member in crew]),
        steal=_worst([ran.steal, *(member.health.steal for member in crew)]),
        file_descriptors=max((m.health.file_descriptors for m in crew), default=0.0),
        lost=[member.lost for member in crew if member.lost is not None],
        idle=min((m.health.idle for m in crew if m.health.idle is not None), default=None),
        queueing=_worst([member.health.queueing for member in crew]),
        clock=_worst([member.clock for member in crew]),
        adds_up=all(member.adds_up for member in crew),
        journeys=journeys,
    )


def _after(book: Book, slot: int) -> int:
    return sum(count for at, count in book.starts.items() if at >= slot)


def _merged(histograms: list[Histogram]) -> Histogram:
    whole = Histogram()
    for histogram in histograms:
        whole.merge(histogram)
    return whole


def _worst(values: list[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
