"""Is what an access log gained since the last look as it should be? (pure)"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from sre.core.units import Duration, Rate, Share, Size, format_duration
from sre.journey.result import Outcome, Reason
from sre.probes.logcursor import Follower
from sre.probes.logtally import Look, quantile

__all__ = ["Limits", "Seen", "judge"]


@dataclass(frozen=True)
class Limits:
    """How much is too much since the look before; what has no limit is only measured.

    Attributes:
        errors: share of requests answered 5xx.
        client_errors: share of requests answered 4xx.
        p95: 95th percentile of all requests' times.
        routes: the same for single routes, by their templates in `routes`.
        failed_logins: answers 401 and 403 at login routes, such as 20/min.
        lag: bytes that the probe is behind the log.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    errors: Share | None = None
    client_errors: Share | None = None
    p95: Duration | None = None
    routes: dict[str, Duration] = field(default_factory=dict)
    failed_logins: Rate | None = None
    lag: Size | None = None


@dataclass
class Seen:
    """One look, as it is judged.

    Attributes:
        elapsed: seconds that its lines span.
        known: whether any line was understood so far.
        volatile: why place and totals could not be stored.
    """

    path: Path
    look: Look
    follower: Follower
    elapsed: float | None
    known: bool
    volatile: str = ""

    @property
    def lag(self) -> int:
        """Bytes that were not read."""
        return self.follower.lag

    def exceeded(self, limits: Limits, least: int) -> list[str]:
        """What is above its limit, for people."""
        told = self._shares(limits) if self.look.requests >= least else []
        per_second = self.look.failed_logins / self.elapsed if self.elapsed else 0.0
        if limits.failed_logins is not None and per_second > limits.failed_logins:
            per_minute, most = per_second * 60, limits.failed_logins * 60
            told.append(f"{per_minute:.0f} failed logins a minute (limit {most:g})")
        if limits.lag is not None and self.lag > limits.lag:
            told.append(f"{self.lag} bytes behind the log (limit {limits.lag:d})")
        return told

    def _shares(self, limits: Limits) -> list[str]:
        """Those that need enough requests to say something."""
        look, told = self.look, []
        for what, count, limit in (
            ("5xx", look.errors, limits.errors),
            ("4xx", look.client_errors, limits.client_errors),
        ):
            if limit is not None and look.requests and count / look.requests > limit:
                share = count / look.requests
                told.append(f"{share:.1%} of {look.requests} requests {what} (limit {limit:.1%})")
        slow = [("all routes", look.quantile(0.95), limits.p95)]
        slow += [
            (name, quantile(look.times.get(name, ()), 0.95), most)
            for name, most in limits.routes.items()
        ]
        for name, found, most in slow:
            if most is not None and found is not None and found > most:
                limit_text = format_duration(most)
                told.append(f"p95 of {name} {format_duration(found)} (limit {limit_text})")
        return told


def judge(seen: Seen, warn: Limits, most: Limits, least: int) -> tuple[Outcome, Reason, str]:
    """The verdict on one look."""
    look = seen.look
    if look.unparsed > look.requests:
        lines = look.unparsed + look.requests
        what = f"{look.unparsed} of {lines} new lines of {seen.path} are of another format"
        outcome = Outcome.DEGRADED if seen.known else Outcome.FAILED
        return outcome, Reason.BODY, f"{what}; `format` must be that of the log"
    bad, high = seen.exceeded(most, least), seen.exceeded(warn, least)
    if bad:
        return Outcome.FAILED, Reason.STATUS, "; ".join(bad)
    if not seen.follower.found and not seen.follower.places:
        what = f"{seen.path} is not there yet; check `file`, and that the folder may be read"
        return Outcome.DEGRADED, Reason.STATUS, what
    if seen.volatile:
        high.append(f"the place in the log is known until the next restart only: {seen.volatile}")
    if high:
        return Outcome.DEGRADED, Reason.STATUS, "; ".join(high)
    behind = f"{seen.lag} bytes of the log are left for the next looks"
    late = seen.lag > MAX_UNREAD
    return Outcome.OK, Reason.NONE, behind if late else ""


MAX_UNREAD = 64 * 2**10
"""Bytes left that are not worth a word: a line that is being written, a burst."""
