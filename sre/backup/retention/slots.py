"""Which backups do `last`, `hourly` … `yearly` keep? restic's rules, in UTC.

From the newest to the oldest: the first backup of each hour (day, ISO week, month, year) fills a
slot until none is left. The oldest one of all fills a slot that would stay empty, so that a young
history is not thinned out before it is old.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from sre.backup.retention.records import Candidate, Reason
from sre.backup.tier import Keep

__all__ = ["fill_slots"]

Period = Callable[[datetime], tuple[int, ...]]

_PERIODS: dict[str, Period] = {
    "hourly": lambda at: (at.year, at.month, at.day, at.hour),
    "daily": lambda at: (at.year, at.month, at.day),
    "weekly": lambda at: tuple(at.isocalendar()[:2]),
    "monthly": lambda at: (at.year, at.month),
    "yearly": lambda at: (at.year,),
}


def fill_slots(keep: Keep, verified: Sequence[Candidate]) -> Iterator[tuple[str, Reason]]:
    """(id, reason) of every slot that a verified backup fills; `verified` is oldest first."""
    newest_first = list(reversed(verified))
    for number, backup in enumerate(newest_first[: keep.last], start=1):
        yield backup.id, Reason("last", f"last {number} of {keep.last}")
    for name, period in _PERIODS.items():
        yield from _periods(name, getattr(keep, name), period, newest_first)


def _periods(
    name: str, slots: int, period: Period, newest_first: Sequence[Candidate]
) -> Iterator[tuple[str, Reason]]:
    filled, before = 0, None
    for number, backup in enumerate(newest_first, start=1):
        if filled == slots:
            return
        current = period(datetime.fromtimestamp(backup.committed, UTC))
        if current != before or number == len(newest_first):
            filled += 1
            oldest = ", as the oldest" if current == before else ""
            yield backup.id, Reason(name, f"{name} {filled} of {slots}{oldest}")
        before = current
