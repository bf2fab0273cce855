"""When does a schedule of five cron fields begin, in its own time zone? (pure)

`MINUTE HOUR DAY MONTH WEEKDAY` as in Vixie cron: `*`, lists, ranges, steps, names of months and
weekdays, 0 and 7 for Sunday; when both days are restricted either is enough; `@hourly @daily
@weekly @monthly @yearly`. A time that the clock change skips begins when the gap ends that much
later; one that it repeats begins once, unless the hour is `*`.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo

__all__ = ["Cron", "parse_cron"]

_HOUR = 3600.0
_SHIFT = 3 * _HOUR
"""More than any clock change."""

_MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_LONGEST = {1: 31, 2: 29, 3: 31, 4: 30, 5: 31, 6: 30, 7: 31, 8: 31, 9: 30, 10: 31, 11: 30, 12: 31}
_PART = re.compile(r"(\*|[a-z]{3}|\d{1,2})(?:-([a-z]{3}|\d{1,2}))?(?:/(\d{1,2}))?")
_EXPECTED = "write five fields, 'MINUTE HOUR DAY MONTH WEEKDAY', such as '30 2 * * sun'"


@dataclass(frozen=True)
class Cron:
    """A parsed schedule.

    Attributes:
        weekdays: 0 is Sunday.
        either: both kinds of day are restricted, and one of them is enough.
        every_hour: the hour was written `*` (a repeated hour counts twice).
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool
    every_hour: bool

    def falls_on(self, day: datetime.date) -> bool:
        """Whether it begins at all on this day."""
        of_month = day.day in self.days
        of_week = day.isoweekday() % 7 in self.weekdays
        both = of_month or of_week if self.either else of_month and of_week
        return day.month in self.months and both

    def starts(self, after: float, until: float, zone: ZoneInfo) -> Iterator[float]:
        """Every moment it begins later than `after`, up to `until`; seconds since the epoch."""
        one = datetime.timedelta(days=1)
        day = datetime.datetime.fromtimestamp(after, zone).date() - one
        last = datetime.datetime.fromtimestamp(until, zone).date() + one
        found: set[float] = set()
        while day <= last:
            if self.falls_on(day):
                found.update(self._of_day(day, zone, after - _SHIFT, until + _SHIFT))
            day += one
        yield from sorted(moment for moment in found if after < moment <= until)

    def _of_day(
        self, day: datetime.date, zone: ZoneInfo, after: float, until: float
    ) -> Iterator[float]:
        for hour in self.hours:
            begin = datetime.datetime.combine(day, datetime.time(hour), zone).timestamp()
            if begin > until or begin + _HOUR < after:
                continue
            for minute in self.minutes:
                local = datetime.datetime.combine(day, datetime.time(hour, minute), zone)
                yield local.timestamp()
                if self.every_hour:
                    yield from _again(local)


def _again(local: datetime.datetime) -> Iterator[float]:
    """The second time in a repeated hour; nothing in a skipped one."""
    second = local.replace(fold=1)
    if second.timestamp() > local.timestamp():
        yield second.timestamp()


def parse_cron(text: str) -> Cron:
    """`text` as a schedule.

    Raises:
        ValueError: it is none, or it can never begin; the message says how to write it.
    """
    fields = _MACROS.get(text.strip().lower(), text).lower().split()
    if len(fields) != 5:
        raise ValueError(f"{text!r} is not a schedule; {_EXPECTED}")
    minutes = _field(fields[0], 0, 59, "minute")
    hours = _field(fields[1], 0, 23, "hour")
    days = _field(fields[2], 1, 31, "day")
    months = _field(fields[3], 1, 12, "month", _MONTHS, 1)
    weekdays = {day % 7 for day in _field(fields[4], 0, 7, "weekday", _DAYS, 0)}
    either = not fields[2].startswith("*") and not fields[4].startswith("*")
    if not either and min(days) > max(_LONGEST[month] for month in months):
        raise ValueError(f"{text!r} never begins: none of its months has a day {min(days)}")
    return Cron(
        tuple(sorted(minutes)),
        tuple(sorted(hours)),
        frozenset(days),
        frozenset(months),
        frozenset(weekdays),
        either,
        fields[1] == "*",
    )


def _field(
    text: str, low: int, high: int, what: str, names: list[str] | None = None, first: int = 0
) -> set[int]:
    found: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"{part!r} is no {what}; {_EXPECTED}")
        begin, end, step = match.groups()
        start = low if begin == "*" else _number(begin, what, names or [], first)
        stop = start if end is None else _number(end, what, names or [], first)
        if begin == "*" or (end is None and step is not None):
            stop = high
        if not low <= start <= stop <= high or step == "0" or (begin == "*" and end):
            raise ValueError(
                f"{part!r} is no {what}; write {low} to {high}, ranges upwards, steps above 0"
            )
        found.update(range(start, stop + 1, int(step or 1)))
    return found


def _number(text: str, what: str, names: list[str], first: int) -> int:
    if text.isdigit():
        return int(text)
    if text not in names:
        raise ValueError(f"{text!r} is no {what}; {_EXPECTED}")
    return names.index(text) + first
