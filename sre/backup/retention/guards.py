"""When is nothing deleted at all, whatever the policy says? None of this can be switched off."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from sre.backup.retention.records import History, Reason, Situation
from sre.core.units import format_duration

__all__ = ["CLOCKS_SECONDS", "LARGE_SHARE", "SHRUNK_SHARE", "blocking"]

CLOCKS_SECONDS = 300.0
LARGE_SHARE = 0.30
SHRUNK_SHARE = 0.50


def blocking(history: History, situation: Situation) -> Iterator[Reason]:
    """The guards that stop every deletion, each with what ends it."""
    difference = situation.clock_difference
    if abs(difference) > CLOCKS_SECONDS:
        ahead = "behind" if difference > 0 else "ahead of"
        yield Reason(
            "clock",
            f"this machine's clock is {format_duration(abs(difference))} {ahead} the store's; "
            "ages mean nothing until it is set right",
        )
    future = [
        each.id for each in history.backups if each.committed > situation.now + CLOCKS_SECONDS
    ]
    if future:
        yield Reason(
            "future",
            f"{future[-1]} says that it was made in the future; look at the clock of the host that "
            "made it",
        )
    if situation.unreadable:
        yield Reason(
            "unreadable",
            f"{situation.unreadable} does not count, and nobody can tell what it builds on; verify "
            "it, and remove it by hand if it is forged",
        )
    if situation.failure:
        yield Reason("newest-failed", f"{situation.failure}; make a good backup first")
    elif history.backups and history.backups[-1].failed is not None:
        yield Reason(
            "newest-failed",
            f"the newest backup, {history.backups[-1].id}, failed its verification; find out why, "
            "and make a good one first",
        )
    yield from _shrunk(history)


def _shrunk(history: History) -> Iterator[Reason]:
    fulls = [each for each in history.backups if each.kind == "full"]
    if len(fulls) < 2:
        return
    newest, median = fulls[-1], statistics.median(each.source_bytes for each in fulls[:-1])
    if newest.source_bytes < median * SHRUNK_SHARE:
        less = 100 * (1 - newest.source_bytes / median)
        yield Reason(
            "shrunk",
            f"the newest full backup, {newest.id}, is {less:.0f} % smaller than the median of "
            "those before; look what is missing. If nothing is, this ends by itself once half of "
            "the full backups are as small",
        )
