"""When does a run have to stop before its end?

Each watcher is asked about once a second, and answers with the reason or with nothing. What a
watcher says begins with `aborted by guard`, so that a reader knows it was no accident.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sre.core.units import format_duration
from sre.loadtest.book import Book
from sre.loadtest.crew.model import Live, Watcher
from sre.loadtest.guards.caps import caps_of
from sre.loadtest.guards.declare import Burn
from sre.loadtest.guards.promise import Events, Promise, burning, events_of, tolerated
from sre.loadtest.guards.sliding import Sliding, Sums
from sre.loadtest.job import Job
from sre.loadtest.judge.report import part_of
from sre.loadtest.judge.verdict import Check, Measured, State, evaluate, show
from sre.loadtest.thresholds import Abort, Target, Threshold

__all__ = ["burn_of", "watchers_of"]

_SAID = "aborted by guard: "
_RATE_OVER = 10.0


def watchers_of(job: Job, kill_files: Sequence[Path] = ()) -> list[Watcher]:
    """Everybody who may stop this run."""
    found: list[Watcher] = [KillFiles(kill_files), CapsKept(job)]
    found += [
        BrokenThreshold(job, threshold, target, threshold.abort)
        for threshold, target in job.thresholds
        if threshold.abort is not None
    ]
    burn = burn_of(job)
    if burn is not None:
        found += [BurningBudget(job, promise, burn) for promise in job.promises]
    return found


def burn_of(job: Job) -> Burn | None:
    """The burn-rate guard of this run: as declared, else on production alone; None: it is off."""
    declared = job.test.abort_on_burn
    if isinstance(declared, Burn):
        return declared
    return Burn() if (job.shop.is_production if declared is None else declared) else None


class KillFiles:
    """A person, or another program, says stop by making a file."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths

    def look(self, _live: Live) -> str | None:
        """As Watcher.look."""
        for path in self._paths:
            if path.exists():
                return f"{_SAID}the kill file {path} has appeared"
        return None


class BrokenThreshold:
    """A threshold with `abort: true`, over its last seconds."""

    def __init__(self, job: Job, threshold: Threshold, target: Target, abort: Abort) -> None:
        self._job, self._threshold, self._target = job, threshold, target
        self._phases = None if threshold.stage is None else job.phases_of(threshold.stage)
        after = float(job.test.warmup) if abort.after is None else abort.after
        over = float("inf") if threshold.unit == "count" else abort.over
        self._over, self._after = over, after
        self._window = Sliding(Sums(), over, after)

    def look(self, live: Live) -> str | None:
        """As Watcher.look."""
        if live.at > self._job.shape.seconds:
            return None  # all have come: the verdict is about to say so
        seen = self._window.look(live.at, self._sums(live.book))
        check = _held(self._threshold, seen, self._job.min_samples(self._threshold))
        if check is None:
            return None
        span = min(self._over, live.at - self._after)
        return (
            f"{_SAID}{self._threshold.expression}: observed "
            f"{show(self._threshold.unit, check.value)} in the last {span:.0f} s, "
            f"{check.samples} samples"
        )

    def _sums(self, book: Book) -> Sums:
        target = self._target
        part = part_of(self._job, book, target, self._phases)
        whole = part
        if target.kind != "journey":
            journey = Target("journey", target.journey, target.journey)
            whole = part_of(self._job, book, journey, self._phases)
        dropped = whole.tally.dropped
        ended = whole.series.counts.total() + dropped
        return Sums.of(
            part.series, ended=ended, dropped=dropped if target.kind == "journey" else None
        )


def _held(threshold: Threshold, seen: Sums, min_samples: int) -> Check | None:
    """The threshold, if it is broken on enough samples; a count needs none."""
    measured = Measured(seen.ended, seen.counts, seen.response, seen.service)
    check = evaluate(threshold, measured, min_samples)
    enough = threshold.unit == "count" or check.samples >= min_samples
    return check if check.state is State.BROKEN and enough else None


class BurningBudget:
    """An objective of a journey, over two windows."""

    def __init__(self, job: Job, promise: Promise, burn: Burn) -> None:
        self._job, self._promise, self._burn = job, promise, burn
        warmup = float(job.test.warmup)
        self._long = Sliding(Events(), float(burn.over), warmup)
        self._short = Sliding(Events(), float(burn.and_over), warmup)

    def look(self, live: Live) -> str | None:
        """As Watcher.look."""
        promise, burn = self._promise, self._burn
        if live.at > self._job.shape.seconds:
            return None
        target = (
            Target("step", promise.journey, promise.step, (promise.step,))
            if promise.step
            else Target("journey", promise.journey, promise.journey)
        )
        part = part_of(self._job, live.book, target)
        sums = events_of(part.series, promise.below)
        long, short = self._long.look(live.at, sums), self._short.look(live.at, sums)
        if not burning(promise, long, short, rate=burn.rate, min_failures=burn.min_failures):
            return None
        what = "bad" if promise.below is None else f"bad or above {format_duration(promise.below)}"
        return (
            f"{_SAID}objective {promise.name!r} burns its budget: {long.bad_share:.1%} {what} over "
            f"{format_duration(burn.over)}, {short.bad_share:.1%} over "
            f"{format_duration(burn.and_over)}; {tolerated(promise.target, burn.rate):.2%} is the "
            "limit"
        )


class CapsKept:
    """What nobody knew beforehand: a closed model sends as fast as it is answered."""

    def __init__(self, job: Job) -> None:
        limits = {cap.key: cap for cap in caps_of(job)}
        self._requests, self._orders = limits["requests"], limits["orders"]
        self._closed = job.test.closed
        self._ordering = job.with_effects
        self._window = Sliding(Events(), _RATE_OVER)

    def look(self, live: Live) -> str | None:
        """As Watcher.look."""
        if not self._closed:
            return None
        orders = sum(
            tally.started
            for (name, _), tally in live.book.tallies.items()
            if name in self._ordering
        )
        if orders > self._orders.limit:
            return (
                f"{_SAID}{orders} journeys that place orders were started; the cap is "
                f"{self._orders.show(self._orders.limit)} (caps.orders)"
            )
        sent = self._window.look(live.at, Events(live.book.requests)).good
        rate = sent / _RATE_OVER
        if live.at >= _RATE_OVER and rate > self._requests.limit:
            return (
                f"{_SAID}{self._requests.show(rate)} were sent over {_RATE_OVER:g} s; the cap is "
                f"{self._requests.show(self._requests.limit)} (caps.requests)"
            )
        return None
