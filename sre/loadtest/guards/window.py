"""Is it the time of day at which this load test may run? (pure)"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

__all__ = ["Daily"]

_EXPECTED = (
    "write hours and a time zone, such as '02:00..05:00 Europe/Berlin' or '22:00..04:00 UTC'"
)


@dataclass(frozen=True)
class Daily:
    """The same hours of each day, over midnight where the end comes before the start."""

    start: time
    end: time
    zone: tzinfo
    text: str

    @classmethod
    def parse(cls, text: str) -> Daily:
        """Raises ValueError that says what to write instead."""
        match = re.fullmatch(r"(\d\d):(\d\d)\.\.(\d\d):(\d\d) +(\S+)", text.strip())
        if match is None:
            raise ValueError(f"{text!r} is no time window; {_EXPECTED}")
        try:
            start, end = time(int(match[1]), int(match[2])), time(int(match[3]), int(match[4]))
        except ValueError as error:
            raise ValueError(f"{text!r}: {error}; {_EXPECTED}") from error
        if start == end:
            raise ValueError(f"{text!r} begins where it ends; {_EXPECTED}")
        return cls(start, end, _zone(match[5]), text.strip())

    def left(self, now: float) -> float:
        """Seconds until the window closes; 0 outside it. `now` is seconds since the epoch."""
        here = datetime.fromtimestamp(now, UTC).astimezone(self.zone)
        for day in (-1, 0):  # a window that began yesterday may still be open
            date = here.date() + timedelta(days=day)
            ends = date + timedelta(days=self.end < self.start)
            opens = datetime.combine(date, self.start, self.zone).timestamp()
            closes = datetime.combine(ends, self.end, self.zone).timestamp()
            if opens <= now < closes:
                return closes - now
        return 0.0

    def clock(self, now: float) -> str:
        """The time there, for people: `14:07`."""
        return datetime.fromtimestamp(now, UTC).astimezone(self.zone).strftime("%H:%M")


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # unknown; a path; a folder of zones
        raise ValueError(f"{name!r} is no time zone known here; {_EXPECTED}") from error
