"""When does what a tier calls `weekly` or `6h` begin? (pure)

As five cron fields, in UTC or the scheduler's own zone. Minutes and hours are spread by name, so
that a hundred databases do not begin at the same moment, and stay the same from day to day.
"""

from __future__ import annotations

import hashlib
import itertools

from sre.core.cron import Cron, parse_cron
from sre.core.units import Duration

__all__ = ["cron_of", "interval_of", "on_calendar"]

_DAY = 86400
_NIGHT = (1, 2, 3, 4)
_EXPECTED = (
    "write hourly, daily, weekly or monthly, a duration that divides a day (15m, 6h), or five cron "
    "fields ('30 2 * * sun')"
)
_WORDS = {"hourly": 3600, "daily": _DAY, "weekly": 7 * _DAY, "monthly": 31 * _DAY}


def cron_of(text: str, name: str) -> str:
    """Five fields for a rhythm. Raises ValueError, which says how to write one."""
    digest = hashlib.sha256(name.encode()).digest()
    minute, hour = digest[0] * 60 // 256, _NIGHT[digest[1] % len(_NIGHT)]
    words = {
        "hourly": f"{minute} * * * *",
        "daily": f"{minute} {hour} * * *",
        "weekly": f"{minute} {hour} * * {digest[2] % 7}",
        "monthly": f"{minute} {hour} {1 + digest[3] % 28} * *",
    }
    if text in words:
        return words[text]
    if len(text.split()) == 5 or text.startswith("@"):
        try:
            parse_cron(text)
        except ValueError as error:
            raise ValueError(f"{error}") from error
        return text
    return _of_duration(text, minute, hour)


def _of_duration(text: str, minute: int, hour: int) -> str:
    try:
        seconds = float(Duration.parse(text))
    except ValueError:
        raise ValueError(f"{text!r} is no rhythm: {_EXPECTED}") from None
    minutes = int(seconds // 60)
    if seconds == 7 * _DAY:
        return f"{minute} {hour} * * 0"
    if minutes < 1 or minutes * 60 != seconds or 1440 % minutes:
        raise ValueError(f"{text!r} is no rhythm that a scheduler keeps: {_EXPECTED}")
    if minutes == 1440:
        return f"{minute} {hour} * * *"
    if minutes < 60 and 60 % minutes == 0:
        return f"{_list(range(minute % minutes, 60, minutes))} * * * *"
    if minutes % 60 == 0:
        step = minutes // 60
        return f"{minute} {_list(range(hour % step, 24, step))} * * *"
    raise ValueError(f"{text!r} is no rhythm that a scheduler keeps: {_EXPECTED}")


def interval_of(text: str) -> float:
    """The longest time between two of them, in seconds. Raises ValueError."""
    if text in _WORDS:
        return float(_WORDS[text])
    if len(text.split()) == 5 or text.startswith("@"):
        from zoneinfo import ZoneInfo  # noqa: PLC0415

        cron = parse_cron(text)
        often = len(cron.months) == 12
        horizon = (40.0 if often and len(cron.days) == 31 else 70.0 if often else 800.0) * _DAY
        starts = list(cron.starts(0.0, horizon, ZoneInfo("UTC")))
        return max((b - a for a, b in itertools.pairwise(starts)), default=800.0 * _DAY)
    return float(Duration.parse(text))


def on_calendar(text: str) -> tuple[str, ...]:
    """Five fields as systemd's OnCalendar; two where cron takes either of two kinds of day."""
    cron = parse_cron(text)
    clock = f"{_numbers(cron.hours)}:{_numbers(cron.minutes)}:00"
    months = "*" if len(cron.months) == 12 else _numbers(sorted(cron.months))
    days = "*" if len(cron.days) == 31 else _numbers(sorted(cron.days))
    week = _weekdays(cron)
    if cron.either:
        return (f"*-{months}-{days} {clock}", f"{week}*-{months}-* {clock}")
    return (f"{week}*-{months}-{days} {clock}",)


def _weekdays(cron: Cron) -> str:
    if len(cron.weekdays) == 7:
        return ""
    names = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
    return ",".join(names[each] for each in sorted(cron.weekdays)) + " "


def _numbers(found: tuple[int, ...] | list[int]) -> str:
    if len(found) == 24 and found[0] == 0:
        return "*"
    return ",".join(f"{each:02d}" for each in found)


def _list(found: range) -> str:
    return ",".join(str(each) for each in found)
