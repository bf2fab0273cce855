"""Was a level in balance, or did a queue grow that had no time to be felt? (pure)

When more comes than is served, journeys in flight grow by the difference as long as it lasts. The
Theil-Sen estimator (the median of the slopes between all pairs of points) reads that off without
being misled by a moment's stall. Neighbouring points of a queue resemble each other, so that its
confidence interval is too narrow; therefore a queue counts as growing only when the interval leaves
out zero *and* a share of the arrivals that matters was left unserved.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["MATTERS", "Growth", "growth_of"]

MATTERS = 0.025
"""The share of arrivals that must pile up before it is called growth."""
_FEWEST = 6
_MOST = 240
_Z = 1.96


@dataclass(frozen=True)
class Growth:
    """How journeys in flight changed while a level was measured.

    Attributes:
        slope: journeys a second, the median of all pairs; None when there are too few points.
        low, high: its 95 % confidence interval.
        rate: arrivals a second, of all journeys together.
    """

    slope: float | None
    low: float
    high: float
    rate: float

    @property
    def share(self) -> float:
        """The share of the arrivals that was not served in time."""
        return 0.0 if self.slope is None or self.rate <= 0 else self.slope / self.rate

    @property
    def grows(self) -> bool:
        """Whether the queue would never end."""
        return self.slope is not None and self.low > 0 and self.share > MATTERS

    @property
    def words(self) -> str:
        """The growth for people."""
        return (
            f"the queue grew by {self.slope or 0.0:.3g} journeys a second, {self.share:.1%} of "
            "those that came: it would never end"
        )


def growth_of(points: Sequence[tuple[float, int]], rate: float) -> Growth:
    """From (seconds, journeys in flight) while the level was measured."""
    kept = points[:: max(1, math.ceil(len(points) / _MOST))]
    count = len(kept)
    if count < _FEWEST:
        return Growth(None, 0.0, 0.0, rate)
    slopes = sorted(
        (kept[j][1] - kept[i][1]) / (kept[j][0] - kept[i][0])
        for i in range(count)
        for j in range(i + 1, count)
        if kept[j][0] > kept[i][0]
    )
    pairs = len(slopes)
    if not pairs:
        return Growth(None, 0.0, 0.0, rate)
    spread = _Z * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    low = slopes[max(0, math.floor((pairs - spread) / 2))]
    high = slopes[min(pairs - 1, math.ceil((pairs + spread) / 2))]
    return Growth(_median(slopes), low, high, rate)


def _median(ordered: Sequence[float]) -> float:
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2
