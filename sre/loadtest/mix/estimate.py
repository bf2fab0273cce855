"""From counted requests to a mix and a curve: which window, which rates, which stages? (pure)"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from sre.core.errors import UsageError
from sre.loadtest.mix.curve import Bin, bursts, knots_of, legs_of, noise_of
from sre.loadtest.mix.fit import Fit, fit
from sre.loadtest.mix.model import Ask, Estimate, Found, Pause, Row, Window, clock_time
from sre.loadtest.mix.survey import Survey
from sre.loadtest.mix.tally import Tally

__all__ = ["estimate"]

_NICE = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 86400)
_HOUR = 3600
_DURATION = 1200.0
_POINTS = 60
_MAX_POINTS = 300
_SHOWN = 10
_SAMPLES = 30


def estimate(tally: Tally, read: Survey, ask: Ask) -> Estimate:
    """The mix and the curve. UsageError: no journey is in the log, or no traffic in the window."""
    base = len(tally.map.routes)
    known, span, start, seconds = _looked_at(tally, read, ask, base)
    counts = _counts(tally, start, seconds)
    fitted = fit({name: tally.map.measured(name) for name in tally.map.visits}, counts)
    if not any(fitted.customers.values()):
        raise UsageError(_nothing(tally, read))
    total = sum(counts.get(route, 0) for route in range(base))
    interval = _interval(seconds, tally.unit, ask.interval)
    bins = _bins(known, tally.unit, start, seconds, interval)
    knots, mean = knots_of(bins), total / seconds
    full = max(knot.rate for knot in knots) if ask.level == "peak" else mean
    duration = ask.duration or min(_DURATION, max(seconds, 1.0))
    sheet = _Sheet(tally, counts, fitted, noise_of(bins))
    customers = sum(fitted.customers.values()) / seconds
    return Estimate(
        log=span,
        window=Window(start, seconds, sum(counts.values())),
        busiest_hour=_busiest_hour(tally, read.offset, span),
        lines=read.lines,
        unread=read.unread + read.untimed,
        left=asdict(tally.left),
        journeys=_found(fitted, full / mean / seconds),
        level=ask.level,
        peak=customers * max(knot.rate for knot in knots) / mean,
        mean=customers,
        interval=interval,
        knots=tuple(knots),
        legs=tuple(legs_of(knots, duration, full)),
        bursts=bursts(tally.entries, start, start + seconds),
        pauses=_pauses(tally),
        explained=sheet.explained,
        unexplained=sheet.unexplained,
        poor=sheet.poor,
        never=sheet.never,
        left_out=tuple(tally.map.left_out),
        alike=fitted.alike,
        offset=read.offset,
    )


def _looked_at(
    tally: Tally, read: Survey, ask: Ask, base: int
) -> tuple[dict[int, int], Window, float, float]:
    known = _by_bucket(tally, base)
    if not known:
        raise UsageError(_nothing(tally, read))
    span = Window(math.floor(tally.first), _span(tally), tally.requests)
    start, seconds = _window(known, tally.unit, span, ask, read.offset)
    return known, span, start, seconds


def _found(fitted: Fit, share: float) -> tuple[Found, ...]:
    return tuple(
        Found(name, value, value * share, fitted.unseen.get(name, ""))
        for name, value in fitted.customers.items()
    )


def _by_bucket(tally: Tally, base: int) -> dict[int, int]:
    """Requests of the journeys' routes."""
    found: dict[int, int] = {}
    for number, count in tally.counts.items():
        bucket, route = divmod(number, 4096)
        if route < base:
            found[bucket] = found.get(bucket, 0) + count
    return found


def _span(tally: Tally) -> float:
    return math.floor(tally.last) + 1.0 - math.floor(tally.first)


def _window(
    known: Mapping[int, int], unit: int, span: Window, ask: Ask, offset: int
) -> tuple[float, float]:
    """Start and length of the window, in whole buckets."""
    if ask.at is not None:
        start, end = ask.at
        end = end if end is not None else start + (ask.window or _HOUR)
        first, last = math.floor(start / unit), math.ceil(end / unit)
        if not any(first <= bucket < last for bucket in known):
            raise UsageError(
                "--at: no journey's request lies between these times; the log has them from "
                f"{clock_time(min(known) * unit, offset)} to "
                f"{clock_time(max(known) * unit, offset)}; without --at the busiest window is taken"
            )
        return first * unit, float((last - first) * unit)
    wanted = ask.window or _HOUR
    if wanted >= span.seconds:
        first = min(known) if unit > 1 else math.floor(span.start)
        return first * unit, max(float(unit), math.ceil(span.seconds / unit) * float(unit))
    width = max(1, round(wanted / unit))
    best = most = running = 0
    buckets = sorted(known)
    behind = 0
    for bucket in buckets:
        running += known[bucket]
        while buckets[behind] <= bucket - width:
            running -= known[buckets[behind]]
            behind += 1
        if running > most:
            best, most = bucket - width + 1, running
    best = max(best, math.floor(span.start / unit))
    return best * unit, float(width * unit)


def _counts(tally: Tally, start: float, seconds: float) -> dict[int, int]:
    first, last = start / tally.unit, (start + seconds) / tally.unit
    found: dict[int, int] = {}
    for number, count in tally.counts.items():
        bucket, route = divmod(number, 4096)
        if first <= bucket < last:
            found[route] = found.get(route, 0) + count
    return found


def _interval(seconds: float, unit: int, wanted: float | None) -> float:
    least = max(unit, seconds / _MAX_POINTS)
    if wanted is not None:
        if wanted < least or wanted > seconds:
            raise UsageError(
                f"--interval must be {least:g}s to {seconds:g}s here: at most {_MAX_POINTS} points"
            )
        return math.ceil(wanted / unit) * float(unit)
    nice = next((one for one in _NICE if one >= seconds / _POINTS), _NICE[-1])
    return math.ceil(max(nice, least) / unit) * float(unit)


def _bins(
    known: Mapping[int, int], unit: int, start: float, seconds: float, interval: float
) -> list[Bin]:
    size = max(1, round(seconds / interval))
    if size * interval < seconds - interval / 2:
        size += 1
    counts = [0] * size
    for bucket, count in known.items():
        place = (bucket * unit - start) / interval
        if place >= 0 and bucket * unit < start + seconds:
            counts[min(size - 1, int(place))] += count
    widths = [interval] * (size - 1) + [seconds - interval * (size - 1)]
    return [Bin(width, count) for width, count in zip(widths, counts, strict=True)]


def _busiest_hour(tally: Tally, offset: int, span: Window) -> Window | None:
    if span.seconds < _HOUR or tally.unit > _HOUR:
        return None
    hours: dict[int, int] = {}
    for number, count in tally.counts.items():
        hour = (number // 4096 * tally.unit + offset) // _HOUR
        hours[hour] = hours.get(hour, 0) + count
    best = max(hours, key=lambda hour: (hours[hour], -hour))
    return Window(float(best * _HOUR - offset), _HOUR, hours[best])


@dataclass(frozen=True)
class _Sheet:
    """What the journeys explain, and what not."""

    tally: Tally
    counts: Mapping[int, int]
    fitted: Fit
    noise: float

    @property
    def _measured(self) -> set[int]:
        return set(self.fitted.expected) - self.tally.map.loose

    @property
    def explained(self) -> float:
        """The share of requests that the journeys make."""
        base, expected = len(self.tally.map.routes), self.fitted.expected
        good = 0.0
        for route, count in self.counts.items():
            if route in self.tally.map.loose and route < base:
                good += count
            elif route < base:
                good += min(count, expected.get(route, 0.0))
        return good / max(1, sum(self.counts.values()))

    @property
    def unexplained(self) -> tuple[Row, ...]:
        base, labels = len(self.tally.map.routes), self.tally.labels
        rows: list[tuple[float, Row]] = []
        for route, count in self.counts.items():
            if route >= base:
                rows.append((count, Row(labels[route - base], count, None)))
            elif route in self._measured:
                expected = self.fitted.expected[route]
                label = self.tally.map.routes[route].label
                if count > expected and self._far(count, expected):
                    rows.append((count - expected, Row(label, count, expected)))
        rows.sort(key=lambda each: (-each[0], each[1].label))
        return tuple(row for _, row in rows[:_SHOWN])

    @property
    def poor(self) -> tuple[Row, ...]:
        rows = [
            Row(self.tally.map.routes[route].label, self.counts.get(route, 0), expected)
            for route, expected in self.fitted.expected.items()
            if route in self._measured and self.counts.get(route, 0) > 0
            and self._far(self.counts.get(route, 0), expected)
        ]  # fmt: skip
        rows.sort(key=lambda row: (-abs(row.counted - (row.expected or 0.0)), row.label))
        return tuple(rows[:_SHOWN])

    @property
    def never(self) -> tuple[tuple[str, str], ...]:
        return tuple(
            (name, visit.step)
            for name, visits in self.tally.map.visits.items()
            for visit in visits
            if self.fitted.customers[name] > 0
            and visit is not None
            and visit.planned
            and not self.counts.get(visit.route)
        )

    def _far(self, counted: float, expected: float) -> bool:
        most, apart = max(counted, expected), abs(counted - expected)
        return apart > 0.25 * most and apart > 3 * math.sqrt(most * self.noise)


def _pauses(tally: Tally) -> tuple[Pause, ...]:
    found: list[Pause] = []
    for (journey, step), pairs in tally.map.pauses().items():
        times = sorted(gap for pair in pairs for gap in tally.gaps.get(pair, ()))
        if len(times) >= _SAMPLES:
            median, p95 = times[len(times) // 2], times[math.ceil(0.95 * len(times)) - 1]
            found.append(Pause(journey, step, median, p95, len(times)))
    return tuple(found)


def _nothing(tally: Tally, read: Survey) -> str:
    """Why there is no mix, and what to do about it."""
    left = tally.left
    said = f"no journey is seen in the log: of {read.lines} lines"
    if left.ours + left.bots > tally.requests:
        return (
            f"{said}, {left.ours} are of sre itself and {left.bots} of agents that call themselves "
            "bots; --keep-synthetic and --keep-bots count them"
        )
    totals: dict[int, int] = {}
    for number, count in tally.counts.items():
        totals[number % 4096] = totals.get(number % 4096, 0) + count
    base = len(tally.map.routes)
    labels = [*(route.label for route in tally.map.routes), *tally.labels]
    top = sorted(totals, key=lambda route: (-totals[route], route))[:5]
    asked = ", ".join(f"{labels[n]} ({totals[n]})" for n in top) or "none of a customer"
    wanted = ", ".join(route.label for route in tally.map.routes[: min(5, base)]) or "nothing"
    return (
        f"{said}, the most are {asked}; the journeys ask for {wanted}. Declare journeys for what "
        "customers do, or name the log of this shop"
    )
