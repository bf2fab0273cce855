"""How is a load test run from the first worker to the last delta?"""

from __future__ import annotations

import contextlib
import importlib.util
import platform
import signal
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import FrameType

from sre.core.clock import Clock, SystemClock
from sre.core.errors import MissingExtra, Transient
from sre.loadtest.book import Book
from sre.loadtest.crew.vitals import host_steal
from sre.loadtest.crew.wire import WorkerPlan
from sre.loadtest.crew.worker import Worker
from sre.loadtest.histogram import Histogram
from sre.loadtest.job import Job
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

__all__ = ["Progress", "run_job"]

_READY_SECONDS = 60.0
_LEAD = 0.5
_POLL = 0.1
_STOP_SECONDS = 7.0
_POINTS = 240

Progress = Callable[[float, int, int], None]
"""Called about once a second with seconds since the start, journeys started, journeys in flight."""


@dataclass
class _Asked:
    """Which signal asked us to stop, and how often one did."""

    first: int | None = None
    times: int = 0

    @property
    def words(self) -> str | None:
        """Why the run was aborted; None if it was not."""
        if self.first is None:
            return None
        return "interrupted by Ctrl-C" if self.first == signal.SIGINT else "terminated by SIGTERM"


def run_job(
    job: Job,
    out: Path,
    *,
    clock: Clock | None = None,
    workers: int = 1,
    log_level: str = "warning",
    progress: Progress | None = None,
) -> tuple[Report, int | None]:
    """Run `job`; worker logs go to `out`. Returns the report and the signal that ended it early.

    SIGTERM and SIGINT stop arrivals, drain for some seconds and still give a report; a second one
    ends the workers at once.

    Raises:
        MissingExtra: Locust is not installed.
        Transient: a worker did not come up.
    """
    if importlib.util.find_spec("locust") is None:
        raise MissingExtra("a load test needs the package 'locust': pip install 'sre[load]'")
    clock = clock or SystemClock()
    plan = _plan(job, workers, log_level)
    crew = [Worker(out / f"worker-{number}.log") for number in range(workers)]
    started = datetime.fromtimestamp(clock.wall(), UTC)
    steal = host_steal()
    with _signals() as asked:
        try:
            begin = _launch(crew, plan, job.test.max_in_flight, asked, clock)
            _watch(crew, begin, plan, asked, progress or (lambda *_: None), clock)
        finally:
            for worker in crew:
                worker.finish(0.0)
    seconds = clock.now() - begin
    _tidy(crew)
    facts = _facts(job, plan, started, seconds, _stopped(crew, asked, seconds))
    return _report(job, crew, facts, plan.slot, asked, _steal_since(steal)), asked.first


def _plan(job: Job, workers: int, log_level: str) -> WorkerPlan:
    return WorkerPlan(
        run_id=uuid.uuid4().hex[:16],
        worker=0,
        workers=workers,
        shape=job.shape,
        journeys=job.used,
        shop=job.shop,
        targets=job.targets,
        users=job.test.users,
        max_in_flight=job.test.max_in_flight,
        slot=float(max(1, -(-int(job.shape.seconds) // _POINTS))),
        drain=job.drain,
        report=-1,
        log_level=log_level,
    )


def _launch(crew: list[Worker], plan: WorkerPlan, cap: int, asked: _Asked, clock: Clock) -> float:
    for worker in crew:
        worker.start()
    for number, worker in enumerate(crew):
        share = cap // len(crew) + (1 if number < cap % len(crew) else 0)
        own = replace(plan, worker=number, max_in_flight=max(1, share), report=worker.report)
        worker.send_plan(own)
    end = clock.now() + _READY_SECONDS
    for worker in crew:
        while not worker.ready.wait(_POLL) and not asked.times and clock.now() < end:
            pass
        if not worker.is_ready and not asked.times:
            raise Transient(f"a load worker did not come up; see {worker.log}")
    begin = clock.now() + _LEAD
    for worker in crew:
        worker.send_start(begin)
    return begin


def _watch(
    crew: list[Worker],
    begin: float,
    plan: WorkerPlan,
    asked: _Asked,
    progress: Progress,
    clock: Clock,
) -> None:
    end = begin + plan.shape.seconds + plan.drain + 30.0
    told, shown = False, 0.0
    while any(worker.running for worker in crew) and clock.now() < end:
        clock.sleep(_POLL)
        if asked.times and not told:
            told, end = True, clock.now() + _STOP_SECONDS
            for worker in crew:
                worker.ask_to_stop()
        if asked.times > 1:
            return
        if clock.now() - shown >= 1.0:
            shown = clock.now()
            counts = [worker.counts for worker in crew]
            progress(shown - begin, sum(n for n, _ in counts), sum(n for _, n in counts))


@contextlib.contextmanager
def _signals() -> Iterator[_Asked]:
    """SIGTERM and SIGINT as a note that the loop reads, instead of an exception anywhere."""
    asked = _Asked()

    def note(number: int, _frame: FrameType | None) -> None:
        asked.first = asked.first or number
        asked.times += 1

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stopped(crew: list[Worker], asked: _Asked, seconds: float) -> float | None:
    if asked.first is None:
        return None
    known = [worker.stopped for worker in crew if worker.stopped is not None]
    return max(0.0, max(known, default=seconds))


def _steal_since(before: tuple[int, int] | None) -> float | None:
    after = host_steal()
    if before is None or after is None or after[1] <= before[1]:
        return None
    return (after[0] - before[0]) / (after[1] - before[1])


def _tidy(crew: list[Worker]) -> None:
    for worker in crew:
        with contextlib.suppress(OSError):
            if not worker.log.stat().st_size:
                worker.log.unlink()


def _facts(
    job: Job, plan: WorkerPlan, started: datetime, seconds: float, stopped: float | None
) -> Facts:
    return Facts(
        name=job.name,
        run_id=plan.run_id,
        started=started.isoformat(timespec="seconds"),
        target=job.shop.base_url,
        environment=job.shop.environment or "not declared",
        planned_seconds=job.shape.seconds,
        seconds=seconds,
        workers=plan.workers,
        seed=job.test.seed,
        model="closed" if job.test.closed else f"open, {job.test.arrivals} arrivals",
        warmup=float(job.test.warmup),
        stopped=stopped,
        versions={
            "python": platform.python_version(),
            **{name: _version(name) for name in ("sre", "locust", "pycurl")},
        },
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def _report(
    job: Job, crew: list[Worker], facts: Facts, slot: float, asked: _Asked, steal: float | None
) -> Report:
    book = Book()
    for worker in crew:
        book.merge(worker.collector.book)
    journeys, steps, groups = build_parts(job, book)
    checks = checks_of(job, (*journeys, *steps, *groups))
    until = facts.planned_seconds if facts.stopped is None else facts.stopped
    points = points_of(job, book, slot, until)
    planned = None if job.test.closed else sum(point.planned for point in points)
    on_time = book.starts.total() - _after(book, int(until / slot) + 1)
    on_time += sum(tally.dropped for tally in book.tallies.values())
    evidence = _evidence(crew, book, steal, planned, on_time, counts_of(job, journeys))
    found = doubts(evidence, tightest=job.tightest)
    return Report(
        facts=facts,
        verdict=judge(checks, found, aborted=asked.words),
        journeys=journeys,
        steps=steps,
        groups=groups,
        checks=checks,
        evidence=evidence,
        lateness_limit=lateness_limit(job.tightest),
        slot=slot,
        points=points,
        phases=phases_of(job, book),
        requests=book.requests,
        ambiguous={part.label: part.tally.ambiguous for part in journeys},
    )


def _evidence(
    crew: list[Worker],
    book: Book,
    steal: float | None,
    planned: int | None,
    on_time: int,
    journeys: dict[str, JourneyCounts],
) -> Evidence:
    return Evidence(
        planned=planned,
        on_time=on_time,
        lateness=book.lateness,
        loop_lag=_merged([worker.lag for worker in crew]),
        cpu=max((worker.health.busiest for worker in crew), default=0.0),
        starvation=_worst([worker.health.starvation for worker in crew]),
        steal=steal,
        file_descriptors=max((worker.health.file_descriptors for worker in crew), default=0.0),
        lost=[worker.lost for worker in crew if worker.lost is not None],
        idle=min((w.health.idle for w in crew if w.health.idle is not None), default=None),
        queueing=_worst([worker.health.queueing for worker in crew]),
        adds_up=all(worker.collector.adds_up for worker in crew),
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
