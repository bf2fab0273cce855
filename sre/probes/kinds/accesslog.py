"""What does the shop's access log say: how many requests, how many errors, how slow, by route?"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from sre.core.accesslog import MAX_LINE, Parser, line_parser
from sre.core.routes import OTHER, Routes
from sre.core.units import Size
from sre.journey.result import Outcome, Reason, Row, StepResult
from sre.probes.facts import Facts
from sre.probes.fitting import SAMPLES, fitting
from sre.probes.logcursor import Follower
from sre.probes.logjudge import Limits, Seen, judge
from sre.probes.logplace import Place, Unreadable
from sre.probes.logstate import Busy, Memory, remembered
from sre.probes.logtally import Tally, quantile
from sre.probes.model import Gauge, ProbeContext, Reading

__all__ = ["AccesslogProbe"]

FACTS = Facts(
    "accesslog",
    ("requests_total", "Requests by route and class of status.", "route", "class"),
    ("request_seconds_total", "Time that the timed requests of a route took.", "route"),
    ("timed_requests_total", "Requests of a route whose lines tell how long they took.", "route"),
    ("request_p50_seconds", "Median time of a route since the look before.", "route"),
    ("request_p95_seconds", "95th percentile of a route's times since the look before.", "route"),
    ("p50_seconds", "Median time of all routes since the look before."),
    ("p95_seconds", "95th percentile of all routes' times since the look before."),
    ("error_ratio", "Share of requests answered 5xx since the look before."),
    ("client_error_ratio", "Share of requests answered 4xx since the look before."),
    ("requests_per_second", "Requests since the look before, by the time between both."),
    ("response_bytes_total", "Bytes of the answers."),
    ("failed_logins_total", "Answers 401 and 403 at routes where people log in."),
    ("unparsed_lines_total", "Lines of another format, or far too long."),
    ("gaps_total", "Times that the place in the log was gone, so that lines may be missing."),
    ("lag_bytes", "What is in the log and was not read yet."),
    ("newest_line_timestamp_seconds", "Time that the newest line of this look bears."),
    ("routes", "Routes that are told apart, `other` included."),
    ("routes_left_out", "Routes counted without numbers here, because there are too many."),
)
_LEAST = Size(2 * MAX_LINE)
_MOST = Size(16 * 2**20)
_NONE = Limits()
_SHARE = 0.75
"""Share of the time there is that reading may take; the rest is for counting and storing."""


@dataclass(frozen=True)
class AccesslogProbe:
    """Reads what an access log has gained since the last look, and counts it by route.

    The place in the log and the totals are kept in the state folder ($SRE_STATE, else ./.sre): a
    restart counts no line twice. Rotation by renaming, copying and compressing (gzip, bzip2, xz)
    is followed. The first look begins with the newest `max_bytes` of the log. Neither query
    strings nor users nor addresses are read. A change of the configuration begins new totals
    where the old ones ended.

    Attributes:
        file: the log; its rotated files are found beside it.
        format: `combined` (nginx and Apache; also with $request_time at the end), `json` (nginx,
            Caddy, Traefik), or the text of an nginx `log_format`.
        fields: of `json` in other words: the names that hold time, method, path, request, status,
            seconds, bytes and agent; dots go deeper.
        unit: what the numbers of `fields: {seconds: …}` are in.
        routes: templates such as `/product/:slug` and `/static/*`, the first that matches wins;
            what matches none gets an automatic one.
        max_routes: how many routes are told apart; the rest is `other`. Only answers that are no
            4xx open an automatic one, so that scanners fill no places.
        logins: templates of the routes at which people log in; unless told, paths that end in
            login, signin, session, token, auth and the like.
        max_bytes: how much one look reads; what is left follows in the next ones.
        min_requests: limits on shares and times are judged from so many requests in a look on.
        warn: above one of these it is degraded.
        max: above one of these it has failed.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    facts: ClassVar[Facts] = FACTS
    file: str
    format: str = "combined"
    fields: dict[str, str] = field(default_factory=dict)
    unit: Literal["s", "ms", "us", "ns"] = "s"
    routes: tuple[str, ...] = ()
    max_routes: int = 50
    logins: tuple[str, ...] = ()
    max_bytes: Size = _MOST
    min_requests: int = 10
    warn: Limits = _NONE
    max: Limits = _NONE

    def __post_init__(self) -> None:
        if not self.file:
            raise ValueError("file must name a log")
        if not 1 <= self.max_routes <= 200 or len(self.routes) > self.max_routes:
            raise ValueError("max_routes must be 1 to 200, and not fewer than there are routes")
        if self.max_bytes < _LEAST:
            raise ValueError(f"max_bytes must be at least {_LEAST // 1024}KiB")
        for limits in (self.warn, self.max):
            unknown = limits.routes.keys() - {*self.routes}
            if unknown:
                raise ValueError(f"a limit names {min(unknown)!r}, which is not among routes")
        line_parser(self.format, self.fields, self.unit)
        Routes(self.routes)
        Routes(self.logins)

    @cached_property
    def _parser(self) -> Parser:
        return line_parser(self.format, self.fields, self.unit)

    @cached_property
    def _routes(self) -> Routes:
        return Routes(self.routes)

    @property
    def _user(self) -> str:
        """Everything that the totals depend on."""
        return json.dumps(
            [self.format, self.fields, self.unit, self.routes, self.max_routes, self.logins]
        )

    def check(self, context: ProbeContext) -> Reading:
        """Read on, count, judge."""
        began = time.monotonic()
        path = Path(self.file).absolute()
        limit = context.deadline.within(context.deadline.left() * _SHARE)
        gauges: tuple[Gauge, ...] = ()
        try:
            with remembered("accesslog", str(path), self._user, limit) as memory:
                seen, tally = self._look(path, memory, context, limit.passed)
                gauges = tuple(_gauges(seen, tally))
            seen.volatile = memory.volatile
            verdict = judge(seen, self.warn, self.max, self.min_requests)
        except Busy as error:
            verdict = Outcome.FAILED, Reason.PROBER, str(error)
        except Unreadable as error:
            verdict = Outcome.FAILED, Reason.PROBER, str(error)
        return _reading(verdict, time.monotonic() - began, gauges)

    def _look(
        self, path: Path, memory: Memory, context: ProbeContext, late: Callable[[], bool]
    ) -> tuple[Seen, Tally]:
        """Read on and count; `memory` knows afterwards. Raises Unreadable."""
        value, now = memory.value, context.clock.wall()
        tally = Tally(
            value.get("totals", {}),
            self._parser,
            self._routes,
            logins=Routes(self.logins),
            max_routes=self.max_routes,
        )
        follower = Follower(
            path,
            _places(value) or _inherited(memory),
            max_bytes=int(self.max_bytes),
            now=now,
            stop=lambda: late() or context.cancelled.is_set(),
        )
        for batch in follower.batches():
            tally.add(batch.decode("utf-8", "replace"))
        tally.add_unparsed(follower.overlong)
        tally.gaps += follower.gaps
        before = value.get("at")
        value["places"] = [place.to_json() for place in follower.places]
        value["totals"], value["at"] = tally.to_json(), now
        known = any(one.requests for one in tally.routes.values())
        return Seen(path, tally.look, follower, _elapsed(before, now, tally), known), tally


def _places(value: Mapping[str, Any]) -> tuple[Place, ...]:
    try:
        return tuple(Place.from_json(one) for one in value.get("places", ()))
    except (KeyError, TypeError, ValueError):
        return ()


def _inherited(memory: Memory) -> tuple[Place, ...]:
    """Where another configuration of the same log is: the lines before were counted there."""
    return next((found for one in memory.elsewhere if (found := _places(one))), ())


def _elapsed(before: Any, now: float, tally: Tally) -> float | None:
    """Seconds that the lines of this look span: since the look before, else by their own times."""
    if isinstance(before, int | float) and now > before:
        return now - before
    look = tally.look
    if look.newest is None or look.oldest is None or look.newest <= look.oldest:
        return None
    return look.newest - look.oldest


def _reading(
    verdict: tuple[Outcome, Reason, str], seconds: float, gauges: tuple[Gauge, ...]
) -> Reading:
    outcome, reason, message = verdict
    row = Row("accesslog", outcome, seconds, reason=reason, message=message)
    step = StepResult("accesslog", outcome, seconds, reason=reason, rows=(row,), message=message)
    return Reading(outcome, seconds, reason, message, (step,), gauges)


def _gauges(seen: Seen, tally: Tally) -> Iterator[Gauge]:
    look = tally.look
    yield FACTS("response_bytes_total", tally.bytes)
    yield FACTS("failed_logins_total", tally.failed_logins)
    yield FACTS("unparsed_lines_total", tally.unparsed)
    yield FACTS("gaps_total", tally.gaps)
    yield FACTS("lag_bytes", seen.lag)
    yield FACTS("routes", len(tally.routes))
    if seen.elapsed is not None:
        yield FACTS("requests_per_second", look.requests / seen.elapsed)
    if look.requests:
        yield FACTS("error_ratio", look.errors / look.requests)
        yield FACTS("client_error_ratio", look.client_errors / look.requests)
    if look.newest is not None:
        yield FACTS("newest_line_timestamp_seconds", look.newest)
    for name, share in (("p50_seconds", 0.5), ("p95_seconds", 0.95)):
        value = look.quantile(share)
        if value is not None:
            yield FACTS(name, value)
    order = sorted(tally.routes, key=lambda name: (-tally.routes[name].requests, name))
    kept, left_out = fitting(
        (list(_of_route(name, tally)) for name in [OTHER, *(n for n in order if n != OTHER)]),
        SAMPLES - 13,
    )
    yield from kept
    yield FACTS("routes_left_out", left_out)


def _of_route(name: str, tally: Tally) -> Iterator[Gauge]:
    totals, times = tally.routes[name], tally.look.times.get(name)
    for kind in sorted({"2xx", "5xx", *totals.classes}):
        count = totals.classes.get(kind, 0)
        yield FACTS("requests_total", count, route=name, **{"class": kind})
    if totals.timed:
        yield FACTS("request_seconds_total", totals.seconds, route=name)
        yield FACTS("timed_requests_total", totals.timed, route=name)
    for fact, share in (("request_p50_seconds", 0.5), ("request_p95_seconds", 0.95)):
        value = quantile(times or (), share)
        if value is not None:
            yield FACTS(fact, value, route=name)
