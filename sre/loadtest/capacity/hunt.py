"""How is the search carried out: a run for each level, a look at the shop after each break?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from sre.core.clock import Clock
from sre.core.errors import Terminated
from sre.loadtest.capacity.level import base_job, growth_in, judge_level, level_job, rates_at
from sre.loadtest.capacity.model import Capacity
from sre.loadtest.capacity.recovery import WINDOW, Recovery, RecoveryWatch, limits_of
from sre.loadtest.capacity.result import Found, LevelResult
from sre.loadtest.capacity.search import (
    End,
    Ending,
    Level,
    Showed,
    Tried,
    bounds,
    next_step,
)
from sre.loadtest.capacity.watch import LevelWatch
from sre.loadtest.crew.model import Watcher
from sre.loadtest.job import Job
from sre.loadtest.judge.assemble import Ran
from sre.loadtest.judge.report import Report

__all__ = ["Hunt", "RunLevel"]

_SIGINT, _SIGTERM = 2, 15


class RunLevel(Protocol):
    """Runs one level, or one look at the shop, and writes its reports; raises as judged_run does.

    `reported` is False for a look: its verdict is nobody's business.
    """

    def __call__(
        self, job: Job, folder: str, watchers: Sequence[Watcher], /, *, reported: bool
    ) -> tuple[Report, Ran]: ...


@dataclass(frozen=True)
class _Aborted(Exception):  # noqa: N818  it is no error
    why: str
    signal: int | None = None


class Hunt:
    """One search.

    Args:
        rules: how far and how fine; the declared ones, or those of the command line.
        run: runs a level.
        say: told what is done now.
    """

    def __init__(
        self, job: Job, rules: Capacity, run: RunLevel, clock: Clock, say: Callable[[str], None]
    ) -> None:
        self._job, self._rules, self._run = job, rules, run
        self._clock, self._say = clock, say
        self._results: list[LevelResult] = []
        self._tried: list[Tried] = []
        self._began = clock.now()
        self._started = datetime.fromtimestamp(clock.wall(), UTC)

    def go(self) -> Found:
        """Search to the end. A signal ends it; what is known so far is returned all the same.

        Raises UsageError and Transient when nothing could be run at all.
        """
        signal = None
        try:
            end, why = self._search()
        except _Aborted as aborted:
            end, why, signal = self._ended(Ending.ABORTED), aborted.why, aborted.signal
        except KeyboardInterrupt:
            end, why, signal = self._ended(Ending.ABORTED), "interrupted by Ctrl-C", _SIGINT
        except Terminated:
            end, why, signal = self._ended(Ending.ABORTED), "terminated by SIGTERM", _SIGTERM
        job = self._job
        return Found(
            name=job.name,
            ending=end.ending,
            held=end.held,
            broke=end.broke,
            why=why,
            target=job.shop.base_url,
            environment=job.shop.environment or "not declared",
            started=self._started.isoformat(timespec="seconds"),
            seconds=self._clock.now() - self._began,
            mix={name: float(rate) for name, rate in job.test.mix.items()},
            ordering=tuple(n for n, j in job.used.items() if j.side_effects != "none"),
            levels=tuple(self._results),
            signal=signal,
            comparable=self._comparable(),
        )

    def _comparable(self) -> dict[str, str]:
        keys = [result.report.facts.key for result in self._results]
        own = ("stages", "warm-up")  # each level has its own
        return {part: words for key in keys[:1] for part, words in key.items() if part not in own}

    def _ended(self, ending: Ending) -> End:
        return End(ending, *bounds(self._tried))

    def _search(self) -> tuple[End, str]:
        while True:
            step = next_step(self._tried, self._rules)
            if isinstance(step, End):
                return step, _words(step, self._results, self._rules)
            result, overload_end = self._level(step)
            self._results.append(result)
            self._tried.append(Tried(step, result.showed))
            if result.showed is not Showed.BROKE:
                continue
            if isinstance(next_step(self._tried, self._rules), End):
                continue
            recovery = self._recover(result, overload_end)
            self._results[-1] = replace(result, recovery=recovery)
            if recovery is not None and recovery.seconds is None and self._base() is not None:
                end = self._ended(Ending.STUCK)
                return end, _words(end, self._results, self._rules)

    def _level(self, level: Level) -> tuple[LevelResult, float]:
        """The level, and when its last customer came, on the clock."""
        job = level_job(self._job, level, self._rules)
        rates = rates_at(self._job, level.share)
        number = len(self._results) + 1
        rate = sum(rates.values())
        what = "again, for longer" if level.confirming else "level"
        self._say(f"{what} {number}: {rate:.4g} arrivals/s ({level.share:.4g} times the mix)")
        folder = f"level-{number:02d}-{rate:.4g}"
        watch = LevelWatch(job, self._clock)
        report, ran = self._run(job, folder, [watch], reported=True)
        _stop_if_asked(ran, None if watch.stop is None else watch.stop.words)
        growth = growth_in(report, rate)
        showed, reasons = judge_level(report, growth, watch.stop)
        begin = watch.begin if watch.begin is not None else self._clock.now() - ran.facts.seconds
        last = ran.facts.planned_seconds if ran.facts.stopped is None else ran.facts.stopped
        self._say(f"{folder}: {showed.value}{': ' if reasons else ''}{'; '.join(reasons[:1])}")
        return (
            LevelResult(number, level, showed, reasons, rates, report, growth, folder),
            begin + last,
        )

    def _base(self) -> LevelResult | None:
        """The lowest level that held: the shop must be able to serve that again."""
        held = (result for result in self._results if result.showed is Showed.HELD)
        return min(held, key=lambda result: result.level.share, default=None)

    def _recover(self, after: LevelResult, overload_end: float) -> Recovery | None:
        """Wait until the shop serves well again; None where nobody knows what well is.

        Before any level held, the wait is short: nobody knows whether it ever serves well.
        """
        base, rules = self._base(), self._rules
        if base is None and not after.good:
            return None
        below = max(float(rules.lowest), after.level.share / rules.factor)
        share = below if base is None else base.level.share
        waited = float(rules.recovery)
        if base is None:
            waited = min(waited, max(2 * WINDOW, float(rules.settle)))
        job = base_job(self._job, share, waited)
        limits = limits_of(job, base.report if base else None)
        if not limits:
            return None
        self._say(f"waiting until the shop serves well again at {share:.4g} times the mix")
        watch = RecoveryWatch(job, limits, self._clock)
        _, ran = self._run(job, f"{after.folder}-recovery", [watch], reported=False)
        _stop_if_asked(ran, RecoveryWatch.WORDS)
        begin = watch.begin if watch.begin is not None else self._clock.now() - ran.facts.seconds
        back = watch.back(ran.book)
        if back is None:
            return Recovery(None, at_most=False, level=share, waited=waited)
        seconds = max(0.0, begin + back - overload_end)
        return Recovery(seconds, at_most=back == 0, level=share, waited=waited)


def _stop_if_asked(ran: Ran, ours: str | None) -> None:
    if ran.signal is not None or (ran.aborted is not None and ran.aborted != ours):
        raise _Aborted(ran.aborted or "aborted", ran.signal)


def _words(end: End, results: Sequence[LevelResult], rules: Capacity) -> str:
    last = results[-1].reasons[:1] if results else ()
    because = f": {last[0]}" if last else ""
    if end.ending is Ending.FOUND:
        return "found, and held once more for longer"
    if end.ending is Ending.NOTHING_HOLDS:
        return f"not even {end.broke:.1%} of the mix holds{because}"
    if end.ending is Ending.LIMIT:
        return (
            f"everything held up to {rules.top:.0%} of the mix, the limit of this search; raise "
            "capacity.limit"
        )
    if end.ending is Ending.UNCONFIRMED:
        return "no level that had held did so once more for longer; measure each for longer"
    if end.ending is Ending.STUCK:
        waited = f"{float(rules.recovery):.0f} s"
        return (
            f"after it was overloaded the shop did not serve well again within {waited}, at a load "
            "that it had held before: it does not recover by itself"
        )
    if results[-1].generator_spoilt:
        return f"the generator is the limit, not the shop{because}"
    return f"a level could not be judged{because}"
