"""What happened in the last seconds, told from sums that only grow? (pure)"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Generic, Protocol, Self, TypeVar

from sre.loadtest.book import Latency, Series

__all__ = ["Sliding", "Sums"]


class Growing(Protocol):
    """Sums that only grow."""

    def since(self, earlier: Self) -> Self:
        """What was added since `earlier`."""
        ...


T = TypeVar("T", bound=Growing)


class Sliding(Generic[T]):
    """The sums of the last `over` seconds, of what came after `after`.

    Args:
        zero: the sums before anything happened.
    """

    def __init__(self, zero: T, over: float, after: float = 0.0) -> None:
        self._over, self._after = over, after
        self._seen: deque[tuple[float, T]] = deque([(-float("inf"), zero)])

    def look(self, at: float, sums: T) -> T:
        """Take the sums of the moment `at` in; returns what the window holds."""
        self._seen.append((at, sums))
        begins = max(self._after, at - self._over)
        while len(self._seen) > 1 and self._seen[1][0] <= begins:
            self._seen.popleft()
        return sums.since(self._seen[0][1])


@dataclass(frozen=True)
class Sums:
    """Of a journey, a step or a group so far: what ended how, how long it took.

    Attributes:
        ended: journeys that came to an end, dropped ones included; of the whole journey.
    """

    ended: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    response: Latency = field(default_factory=Latency)
    service: Latency = field(default_factory=Latency)

    @classmethod
    def of(cls, series: Series, *, ended: int, dropped: int | None) -> Sums:
        """`dropped` is None for a step or a group."""
        counts = Counter(series.counts)
        if dropped is not None:
            counts["dropped"] = dropped
        return cls(ended, counts, series.response, series.service)

    def since(self, earlier: Sums) -> Sums:
        """What was added since."""
        return Sums(
            self.ended - earlier.ended,
            self.counts - earlier.counts,
            _since(self.response, earlier.response),
            _since(self.service, earlier.service),
        )


def _since(now: Latency, earlier: Latency) -> Latency:
    news = Latency()
    news.good = now.good.since(earlier.good)
    news.failed = now.failed.since(earlier.failed)
    return news
