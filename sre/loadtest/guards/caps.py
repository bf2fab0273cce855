"""Would this run do more than anybody can have meant? (pure)

The defaults are far above what a release needs, and far below what a slip of the pen asks for.
"""

from __future__ import annotations

from dataclasses import dataclass

from sre.core.units import format_duration
from sre.loadtest.guards.window import Daily
from sre.loadtest.job import Job

__all__ = ["Cap", "caps_of", "closed_now", "excesses"]

_STAGING = {"requests": 2000.0, "duration": 12 * 3600.0, "orders": 100_000}
_PRODUCTION = {"requests": 50.0, "duration": 1800.0, "orders": 100}


@dataclass(frozen=True)
class Cap:
    """One cap and what the run would need of it; `used` is None where nobody knows beforehand."""

    key: str
    used: float | None
    limit: float

    @property
    def exceeded(self) -> bool:
        """Whether the run would do more."""
        return self.used is not None and self.used > self.limit + 1e-9

    def show(self, value: float) -> str:
        """A number of this cap for people."""
        if self.key == "requests":
            return f"{value:.4g}/s" if value < 1000 else f"{value:.0f}/s"
        return format_duration(value) if self.key == "duration" else f"{value:.0f}"

    def written(self, value: float) -> str:
        """At least `value`, as it is written in the declaration."""
        if self.key == "requests":
            return f"{_up(value)}/s"
        return f"{_up(value)}s" if self.key == "duration" else str(_up(value))


def caps_of(job: Job) -> tuple[Cap, ...]:
    """All caps of this run."""
    given = job.test.caps
    default = _PRODUCTION if job.shop.is_production else _STAGING
    used = {
        "requests": None if job.test.closed else job.peak_requests,
        "duration": job.shape.seconds,
        "orders": None if job.test.closed and job.with_effects else float(job.orders),
    }
    own = {"requests": given.requests, "duration": given.duration, "orders": given.orders}
    return tuple(
        Cap(key, used[key], float(default[key] if limit is None else limit))
        for key, limit in own.items()
    )


def excesses(job: Job) -> list[str]:
    """Which caps refuse this run, in words; empty when none does."""
    return [_excess(job, cap) for cap in caps_of(job) if cap.exceeded]


def closed_now(job: Job, *, now: float) -> list[str]:
    """Why this run may not begin at this hour (`now`, since the epoch); empty when it may."""
    only = job.test.caps.only_between
    if only is None:
        return []
    window = Daily.parse(only)
    left, needs = window.left(now), job.shape.seconds + job.drain
    if left <= 0:
        return [
            f"load test {job.name!r} may run only between {window.text}, and it is "
            f"{window.clock(now)} there; wait, or change caps.only_between"
        ]
    if needs > left:
        return [
            f"load test {job.name!r} may take {format_duration(needs)}, but only "
            f"{format_duration(left)} are left of {window.text}; start it earlier, or change "
            "caps.only_between"
        ]
    return []


def _excess(job: Job, cap: Cap) -> str:
    assert cap.used is not None  # noqa: S101  it would not be exceeded
    what = {
        "requests": "would send {} at its peak",
        "duration": "would last {}",
        "orders": "would place {} orders",
    }[cap.key].format(cap.show(cap.used))
    where = " on production" if job.shop.is_production else ""
    return (
        f"load test {job.name!r} {what}; the cap{where} is {cap.show(cap.limit)}. If it is meant, "
        f"write caps: {{{cap.key}: {cap.written(cap.used)}}}"
    )


def _up(value: float) -> int:
    return -int(-value // 1)
