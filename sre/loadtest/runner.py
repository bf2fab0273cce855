"""How is a load test run from the first member of the crew to the last delta?"""

from __future__ import annotations

import contextlib
import importlib.util
import signal
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from sre.core.clock import Clock, SystemClock
from sre.core.errors import MissingExtra, UsageError
from sre.journey.needs import missing
from sre.loadtest.crew.local import LocalCrew
from sre.loadtest.crew.model import Crew, Live, Watcher
from sre.loadtest.crew.vitals import host_steal
from sre.loadtest.crew.wire import WorkerPlan
from sre.loadtest.held import hold_signals
from sre.loadtest.history.key import key_of, tool_versions
from sre.loadtest.job import Job
from sre.loadtest.judge.assemble import Ran
from sre.loadtest.judge.report import Facts
from sre.loadtest.truth.resend import resends_of

__all__ = ["facts_of", "new_run_id", "plan_of", "run_job"]

_POLL = 0.1
_LOOK = 1.0
_STOP_SECONDS = 7.0
_POINTS = 240


@dataclass
class _Asked:
    """Who asked us to stop, and how often: a signal, or a watcher with its reason."""

    signal: int | None = None
    times: int = 0
    why: str | None = None

    @property
    def words(self) -> str | None:
        """Why the run was aborted; None if it was not."""
        if self.signal is None:
            return self.why
        return "interrupted by Ctrl-C" if self.signal == signal.SIGINT else "terminated by SIGTERM"


def new_run_id() -> str:
    """The name of a run that no other run has: 16 hexadecimal digits."""
    return uuid.uuid4().hex[:16]


def run_job(
    job: Job,
    out: Path,
    *,
    clock: Clock | None = None,
    crew: Crew | None = None,
    workers: int = 1,
    run_id: str | None = None,
    log_level: str = "warning",
    watchers: Sequence[Watcher] = (),
) -> Ran:
    """Run `job`; worker logs go to `out`.

    SIGTERM, SIGINT and the word of a watcher (asked about once a second) stop arrivals, drain for
    some seconds and still give everything that was seen; a second signal ends the crew at once.
    The crew is `workers` processes of this machine by default.

    Raises:
        MissingExtra: Locust is not installed.
        UsageError: the journeys need a variable of the environment, or a secret, that is not here.
        Transient: a member of the crew did not come up.
    """
    _need_locust()
    clock = clock or SystemClock()
    crew = crew if crew is not None else _local(job, out, workers, clock)
    plan = plan_of(job, len(crew.members), run_id or new_run_id(), log_level)
    steal = host_steal()
    with _signals() as asked:
        try:
            begin = crew.launch(plan, lambda: asked.times > 0)
            started = datetime.fromtimestamp(clock.wall() + begin - clock.now(), UTC)
            _watch(crew, begin, plan, asked, watchers, clock)
        finally:
            crew.finish()
            hold_signals()
    seconds = clock.now() - begin
    facts = facts_of(job, plan, started, seconds, _stopped(crew, asked, seconds))
    members, stolen = tuple(crew.members), _steal_since(steal)
    return Ran(facts, members, plan.slot, stolen, asked.words, asked.signal)


def _need_locust() -> None:
    if importlib.util.find_spec("locust") is None:
        raise MissingExtra("a load test needs the package 'locust': pip install 'sre[load]'")


def _need_secrets(job: Job) -> None:
    found = missing(job.used.values())
    if found:
        raise UsageError("; ".join(found) + "; the journeys of this test need it, nothing was sent")


def _local(job: Job, out: Path, workers: int, clock: Clock) -> Crew:
    _need_secrets(job)  # the workers of other hosts read their own
    return LocalCrew(out, workers, clock)


def plan_of(job: Job, workers: int, run_id: str, log_level: str) -> WorkerPlan:
    """What all workers of a run are told, before each gets its own share."""
    return WorkerPlan(
        run_id=run_id,
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
        trace=job.test.trace,
        resend=resends_of(job.test.resend, job.used),
    )


def _watch(
    crew: Crew,
    begin: float,
    plan: WorkerPlan,
    asked: _Asked,
    watchers: Sequence[Watcher],
    clock: Clock,
) -> None:
    end = begin + plan.shape.seconds + plan.drain + 30.0
    told, looked = False, 0.0
    while any(member.running for member in crew.members) and clock.now() < end:
        clock.sleep(_POLL)
        if asked.times and not told:
            told, end = True, clock.now() + _STOP_SECONDS
            crew.ask_to_stop()
        if asked.times > 1 and asked.signal is not None:
            return
        if clock.now() - looked >= _LOOK:
            looked = clock.now()
            _look(Live(looked - begin, crew.members), watchers, asked)


def _look(live: Live, watchers: Sequence[Watcher], asked: _Asked) -> None:
    for watcher in watchers:
        why = watcher.look(live)
        if why is not None and not asked.times:
            asked.times, asked.why = 1, why


@contextlib.contextmanager
def _signals() -> Iterator[_Asked]:
    """SIGTERM and SIGINT as a note that the loop reads, instead of an exception anywhere."""
    asked = _Asked()

    def note(number: int, _frame: FrameType | None) -> None:
        asked.signal = asked.signal or number
        asked.times += 1

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stopped(crew: Crew, asked: _Asked, seconds: float) -> float | None:
    if asked.words is None:
        return None
    known = [member.stopped for member in crew.members if member.stopped is not None]
    return max(0.0, max(known, default=seconds))


def _steal_since(before: tuple[int, int] | None) -> float | None:
    after = host_steal()
    if before is None or after is None or after[1] <= before[1]:
        return None
    return (after[0] - before[0]) / (after[1] - before[1])


def facts_of(
    job: Job, plan: WorkerPlan, started: datetime, seconds: float, stopped: float | None
) -> Facts:
    """What a reader must know to run it again or to compare it."""
    versions = tool_versions()
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
        versions=versions,
        key=key_of(job, plan.workers, versions),
    )
