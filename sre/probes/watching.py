"""What do `watch:` and `maintenance:` of sre.yaml say? (frozen; no clock, contacts nothing)"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from functools import cached_property
from typing import ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sre.core.cron import Cron, parse_cron
from sre.core.units import Duration
from sre.journey.guard import parse_entry
from sre.probes.model import Check

__all__ = ["Span", "WatchOptions", "Window", "around", "in_maintenance", "opened", "spans"]

MOST_SPANS = 100
"""Windows in time of one declared window that are told; a page needs no more."""

_DAY = 86400.0
_LONGEST = 31 * _DAY
_TWO_SECONDS = Duration(2.0)


@dataclass(frozen=True)
class WatchOptions:
    """How `sre probe serve` watches.

    Attributes:
        location: where this instance stands, such as `fra1`; exported once, as a label of
            `sre_probe_location_info`, for rules that want two of three places to agree.
        gate: addresses `HOST:PORT` beyond the own network. When none of them accepts a connection
            the fault is ours: failures by dns, connect or timeout get the reason `prober`, which
            no objective counts. A connection is opened, nothing is sent; they need not stand in
            `targets.allow`.
        gate_timeout: seconds that one address of the gate has to answer.
        max_series: samples that all probes together may export beside their own counters and
            phases; what is beyond is dropped and counted.
        max_series_per_probe: the same for one run of one probe.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    location: str | None = None
    gate: tuple[str, ...] = ()
    gate_timeout: Duration = _TWO_SECONDS
    max_series: int = 200_000
    max_series_per_probe: int = 1000

    def __post_init__(self) -> None:
        if self.location is not None and not 0 < len(self.location) <= 64:
            raise ValueError("location must be a name of 1 to 64 characters, such as fra1")
        for address in self.gate:
            _check_address(address)
        if not 0.1 <= self.gate_timeout <= 10:
            raise ValueError("gate_timeout must be 100ms to 10s")
        if self.max_series < 0 or self.max_series_per_probe < 0:
            raise ValueError("max_series and max_series_per_probe must be at least 0")


def _check_address(text: str) -> None:
    host, _, port = text.rpartition(":")
    try:
        parse_entry(text)
        one = port != "*" and "*" not in host and "/" not in host
    except ValueError:
        one = False
    if not one:
        raise ValueError(f"gate: {text!r} is not one address; write HOST:PORT, such as 1.1.1.1:53")


@dataclass(frozen=True)
class Window:
    """Planned work: probes go on, and alerts can see that it was planned.

    Attributes:
        name: becomes a label.
        from_, to: one window, RFC 3339 (`2026-11-27T22:00:00Z`), or local to `zone`.
        schedule: windows that return, five cron fields: `30 2 * * sun`.
        for_: how long each window of `schedule` lasts, up to 31d.
        zone: IANA time zone of `schedule`, and of `from` and `to` without an offset.
        probes: names of probes that it is about, `*` and `?` as wildcards.
        journeys: names of journeys, likewise. Neither said: it is about everything.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    name: str
    from_: str | None = None
    to: str | None = None
    schedule: str | None = None
    for_: Duration | None = None
    zone: str | None = None
    probes: tuple[str, ...] = ()
    journeys: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < len(self.name) <= 64:
            raise ValueError("name must be 1 to 64 characters")
        once = self.from_ is not None or self.to is not None
        if once == (self.schedule is not None):
            raise ValueError("a window needs either 'from' and 'to', or 'schedule' and 'for'")
        if once and (self.from_ is None or self.to is None or self.for_ is not None):
            raise ValueError("'from' and 'to' belong together; 'for' belongs to 'schedule'")
        if self._zone is None:
            raise ValueError(f"there is no time zone {self.zone!r} here; write one as Europe/Rome")
        if once and self._once[0] >= self._once[1]:
            raise ValueError("'from' must be earlier than 'to'")
        if not once and (self.for_ is None or not 0 < self.for_ <= _LONGEST):
            raise ValueError("'schedule' needs 'for', how long it lasts: above 0, up to 31d")
        if self.schedule is not None:
            parse_cron(self.schedule)

    def about(self, check: Check) -> bool:
        """Whether it is about this probe."""
        if not self.probes and not self.journeys:
            return True
        journey = check.journey
        return any(fnmatchcase(check.name, each) for each in self.probes) or (
            journey is not None and any(fnmatchcase(journey, each) for each in self.journeys)
        )

    def times(self, after: float, before: float) -> list[tuple[float, float]]:
        """Begin and end of each window that overlaps `after` to `before`, oldest first."""
        if self._cron is None or self.for_ is None or self._zone is None:
            begin, end = self._once
            return [(begin, end)] if begin < before and end > after else []
        length = float(self.for_)
        starts = self._cron.starts(after - length, before, self._zone)
        return [(begin, begin + length) for begin in starts if begin < before]

    def open_at(self, now: float) -> bool:
        """Whether it is such a time now; the end no longer belongs to it."""
        return any(begin <= now < end for begin, end in self.times(now, now + 1e-3))

    @cached_property
    def _cron(self) -> Cron | None:
        return None if self.schedule is None else parse_cron(self.schedule)

    @cached_property
    def _zone(self) -> ZoneInfo | None:
        try:
            return ZoneInfo(self.zone or "UTC")
        except (ZoneInfoNotFoundError, ValueError, OSError):
            return None

    @cached_property
    def _once(self) -> tuple[float, float]:
        return self._moment(self.from_ or ""), self._moment(self.to or "")

    def _moment(self, text: str) -> float:
        try:
            found = datetime.fromisoformat(text)
        except ValueError as error:
            raise ValueError(f"{text!r} is not a time; write 2026-11-27T22:00:00Z") from error
        if len(text) <= len("2026-11-27"):
            raise ValueError(f"{text!r} lacks the time of day; write 2026-11-27T22:00:00Z")
        if found.tzinfo is None:
            if self.zone is None:
                raise ValueError(f"{text!r} lacks its offset; add Z or +01:00, or give a zone")
            found = found.replace(tzinfo=self._zone)
        return found.timestamp()


@dataclass(frozen=True, slots=True)
class Span:
    """One window in time, for people. Times are seconds since the epoch."""

    name: str
    begin: float
    end: float
    probes: tuple[str, ...]


def opened(windows: Iterable[Window], now: float) -> tuple[Window, ...]:
    """The windows that are open now, in the order of sre.yaml."""
    return tuple(each for each in windows if each.open_at(now))


def in_maintenance(windows: Iterable[Window], check: Check, now: float) -> tuple[str, ...]:
    """The names of the windows that are open now for this probe, in the order of sre.yaml."""
    return tuple(each.name for each in opened(windows, now) if each.about(check))


def spans(
    windows: Iterable[Window], checks: Iterable[Check], after: float, before: float
) -> list[Span]:
    """Every window that overlaps a time, oldest first, with the names of the probes it is about."""
    all_of_them, found = tuple(checks), []
    for each in windows:
        names = tuple(check.name for check in all_of_them if each.about(check))
        times = each.times(after, before)[:MOST_SPANS]
        found += [Span(each.name, begin, end, names) for begin, end in times]
    return sorted(found, key=lambda span: (span.begin, span.name))


def around(windows: Iterable[Window], checks: Iterable[Check], now: float) -> list[Span]:
    """What goes on and what comes within a week, the next first; then what was over today.

    What goes on is never crowded out: a window may return every few minutes.
    """
    known, about = tuple(windows), tuple(checks)
    coming = spans(known, about, now, now + 7 * _DAY)
    over = [span for span in spans(known, about, now - _DAY, now) if span.end <= now]
    return coming + over[::-1]
