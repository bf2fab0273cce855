"""Is a level beyond hope already, so that the shop need not be overloaded any longer?

A level is stopped when it can no longer hold, even if everything from now on goes well: a customer
was dropped, more are slow or turned away than its thresholds allow of all who will come, or nobody
was served at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from sre.core.clock import Clock
from sre.loadtest.book import Book, Latency
from sre.loadtest.capacity.level import Stop
from sre.loadtest.crew.model import Live
from sre.loadtest.job import Job
from sre.loadtest.judge.report import Part, build_parts
from sre.loadtest.shape import WARMUP
from sre.loadtest.thresholds import QUANTILES, Target, Threshold

__all__ = ["LevelWatch", "hopeless"]

_NOBODY = 20
_BUCKET = 1.01


class LevelWatch:
    """Looks at a level while it runs (a Watcher), and stops it when it is lost.

    Attributes:
        begin: when the run started, on `clock`; None before the first look.
        stop: why the level was stopped; None if it was not.
    """

    def __init__(self, job: Job, clock: Clock) -> None:
        self._job, self._clock = job, clock
        self._expected = {
            name: sum(n for (of, at), n in job.laid_out.items() if of == name and at != WARMUP)
            for name in job.used
        }
        self.begin: float | None = None
        self.stop: Stop | None = None

    def look(self, live: Live) -> str | None:
        """As Watcher.look."""
        if self.begin is None:
            self.begin = self._clock.now() - live.at
        if self.stop is None and live.at <= self._job.shape.seconds:
            self.stop = hopeless(self._job, live.book, self._expected)
        return None if self.stop is None else self.stop.words


def hopeless(job: Job, book: Book, expected: Mapping[str, int]) -> Stop | None:
    """Why the level cannot hold any more; None while it still may.

    `expected`: customers of each journey who count, over the whole level.
    """
    dropped = sum(tally.dropped for tally in book.tallies.values())
    if dropped:
        return Stop("customers were dropped: max_in_flight was reached", is_outcome=False)
    if nobody := _nobody_served(book):
        return Stop(nobody, is_outcome=True)
    by_target = _by_target(job, book)
    for threshold, target in job.thresholds:
        total = expected.get(target.journey, 0)
        if total and (words := _lost(threshold, target, by_target[target], total)):
            return Stop(f"{threshold.expression}: {words}", is_outcome=not threshold.is_latency)
    return None


def _by_target(job: Job, book: Book) -> dict[Target, Part]:
    journeys, steps, groups = build_parts(job, book)
    return {part.target: part for part in (*journeys, *steps, *groups)}


def _nobody_served(book: Book) -> str:
    ends: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for (_, step, _), series in book.series.items():
        if not step:
            ends.update(series.counts)
            reasons.update(series.reasons)
    if ends.total() < _NOBODY or ends["ok"] or ends["degraded"]:
        return ""
    said = next((text for (_, _, why), text in book.examples.items() if why), "")
    worst = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common(3))
    return f"not one of {ends.total()} customers was served ({worst or 'no reason'}): {said}"


def _lost(threshold: Threshold, target: Target, part: Part, total: int) -> str:
    if threshold.is_latency:
        return _too_slow(threshold, target, part, total)
    seen = part.measured
    if threshold.op in ("<", "<="):
        count = seen.count(threshold.measure)
        best = count / total if threshold.unit == "share" else float(count)
        so_far = f"{count} {threshold.measure} of {total} who were to come"
    elif threshold.unit == "share":
        others = sum(seen.counts.values()) - seen.count(threshold.measure)
        best = (total - others) / total
        so_far = f"{others} of {total} who were to come ended otherwise"
    else:
        return ""
    return "" if threshold.holds(best) else f"cannot be kept any more, {so_far} already"


def _too_slow(threshold: Threshold, target: Target, part: Part, total: int) -> str:
    if target.kind != "journey" or threshold.op not in ("<", "<="):
        return ""  # a step may be repeated: nobody knows how often it will be
    latency = part.series.response if threshold.series == "response" else part.series.service
    slower = _above(latency, threshold.limit)
    allowed = (1.0 - QUANTILES[threshold.measure]) * total
    if slower <= allowed:
        return ""
    return f"cannot be kept any more, {slower} of {total} who were to come took longer already"


def _above(latency: Latency, limit: float) -> int:
    both = latency.together()
    return both.count - both.up_to(limit * _BUCKET)
