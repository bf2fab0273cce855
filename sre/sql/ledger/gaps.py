"""For how long could nobody write? Measured between acknowledgements, on the monotonic clock.

The time before the first acknowledgement and after the last one counts too: a shop that never came
back has a gap, not none. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nlargest
from typing import Literal

from sre.sql.ledger.model import Gap, Gaps, Head

__all__ = ["gaps_of", "wall_of"]

_NAMED = 100


def wall_of(head: Head, at: float) -> float:
    """A monotonic moment in seconds since 1970, as the wall clock stood when the run began."""
    return head.wall + (at - head.monotonic)


def gaps_of(
    head: Head,
    times: Iterable[int],
    end: float,
    *,
    threshold: float = 0.5,
    since: float | None = None,
) -> Gaps:
    """Gaps between acknowledgements.

    Args:
        times: of acknowledgements, monotonic microseconds, in any order.
        end: monotonic seconds at which the record ends.
        threshold: seconds above which a gap is listed.
        since: monotonic seconds of a fault. The gap in which it lies counts from the last
            acknowledgement before it.
    """
    longest = after = None
    above: list[Gap] = []
    before, edge = head.monotonic, True
    for moment in [*(each / 1_000_000 for each in sorted(times)), None]:
        ended = max(before, end) if moment is None else moment
        side: Literal["", "start", "end"] = "end" if moment is None else "start" if edge else ""
        seconds = ended - before
        if longest is None or seconds > longest.seconds or seconds > threshold or since is not None:
            gap = Gap(before, ended, wall_of(head, before), side)
            if longest is None or seconds > longest.seconds:
                longest = gap
            if since is not None and ended > since and (not after or seconds > after.seconds):
                after = gap
            if seconds > threshold:
                above.append(gap)
        before, edge = ended, False
    named = nlargest(_NAMED, above, key=lambda gap: gap.seconds)
    return Gaps(longest, after, tuple(sorted(named, key=lambda gap: gap.began)), threshold)
