"""How are millions of latencies kept in a few kilobytes, with percentiles true to half a percent?

Logarithmic buckets: each is 1 % wide and answers with its middle, so a percentile is within 0.5 %
of the exact value. Count, sum, minimum and maximum are exact. Merging adds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["Histogram"]

_WIDTH = 1.01
_PER_LOG = 1.0 / math.log(_WIDTH)
_LOWEST = 1e-6
_SHIFT = -math.log(_LOWEST) * _PER_LOG
_MIDDLE = math.log(_LOWEST) + 0.5 / _PER_LOG


class Histogram:
    """Values in seconds. Anything up to one microsecond falls into one bucket.

    What is recorded is gathered first and sorted in when somebody asks: that costs a third.

    Attributes:
        record: add one value.
    """

    __slots__ = ("_buckets", "_count", "_maximum", "_minimum", "_new", "_total", "record")

    def __init__(self, values: Iterable[float] = ()) -> None:
        self._buckets: dict[int, int] = {}
        self._count = 0
        self._total = 0.0
        self._minimum = math.inf
        self._maximum = -math.inf
        self._new = list(values)
        self.record: Callable[[float], None] = self._new.append

    @property
    def buckets(self) -> dict[int, int]:
        """Bucket -> how many values."""
        self._sort_in()
        return self._buckets

    @property
    def count(self) -> int:
        """All values."""
        return self._count + len(self._new)

    @property
    def total(self) -> float:
        """Their sum, exact."""
        self._sort_in()
        return self._total

    @property
    def minimum(self) -> float:
        """Exact; infinite when there are none, as the maximum is."""
        self._sort_in()
        return self._minimum

    @property
    def maximum(self) -> float:
        """Exact."""
        self._sort_in()
        return self._maximum

    def _sort_in(self, _log: Any = math.log) -> None:
        new = self._new
        if not new:
            return
        buckets = self._buckets
        for value in new:
            index = int(_log(value) * _PER_LOG + _SHIFT) if value > _LOWEST else -1
            buckets[index] = buckets.get(index, 0) + 1
        self._count += len(new)
        self._total += sum(new)
        self._minimum = min(self._minimum, *new)
        self._maximum = max(self._maximum, *new)
        new.clear()

    def merge(self, other: Histogram) -> None:
        """Add all values of `other`."""
        buckets = self.buckets
        for index, count in other.buckets.items():
            buckets[index] = buckets.get(index, 0) + count
        self._count += other.count
        self._total += other.total
        self._minimum = min(self._minimum, other.minimum)
        self._maximum = max(self._maximum, other.maximum)

    def quantile(self, q: float) -> float | None:
        """The smallest value that at least a share `q` of all do not exceed (nearest rank).

        None when empty. `quantile(1)` is the exact maximum.
        """
        if not self.count:
            return None
        rank = max(1, math.ceil(q * self.count - 1e-9))
        if rank >= self.count:
            return self.maximum
        seen = 0
        for index in sorted(self.buckets):
            seen += self.buckets[index]
            if seen >= rank:
                return min(max(_value_of(index), self.minimum), self.maximum)
        return self.maximum

    @property
    def mean(self) -> float | None:
        """None when empty."""
        return self.total / self.count if self.count else None

    def curve(self) -> list[tuple[float, float]]:
        """(value, share of all values up to it), rising: the cumulative distribution."""
        points: list[tuple[float, float]] = []
        seen = 0
        for index in sorted(self.buckets):
            seen += self.buckets[index]
            value = min(max(_value_of(index), self.minimum), self.maximum)
            points.append((value, seen / self.count))
        return points

    def up_to(self, value: float) -> int:
        """How many did not exceed `value`, to the width of a bucket."""
        return sum(count for index, count in self.buckets.items() if _value_of(index) <= value)

    def since(self, earlier: Histogram) -> Histogram:
        """What was added since `earlier`, an older state of this one. Its ends are to a bucket."""
        news = Histogram()
        for index, count in self.buckets.items():
            if added := count - earlier.buckets.get(index, 0):
                news.buckets[index] = added
        if news.buckets:
            news._count = self.count - earlier.count
            news._total = self.total - earlier.total
            news._minimum = max(_value_of(min(news.buckets)), self.minimum)
            news._maximum = min(_value_of(max(news.buckets)), self.maximum)
        return news

    def to_plain(self) -> dict[str, Any]:
        """JSON-ready; `from_plain` reads it back. An empty one is `{}`."""
        if not self.count:
            return {}
        return {
            "i": list(self.buckets),
            "n": list(self.buckets.values()),
            "sum": self.total,
            "min": self.minimum,
            "max": self.maximum,
        }

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Histogram:
        """Raises KeyError or ValueError when `plain` is not the work of `to_plain`."""
        histogram = cls()
        if plain:
            histogram._buckets = dict(zip(plain["i"], plain["n"], strict=True))
            histogram._count = sum(plain["n"])
            histogram._total = plain["sum"]
            histogram._minimum = plain["min"]
            histogram._maximum = plain["max"]
        return histogram


def _value_of(index: int) -> float:
    if index < 0:
        return _LOWEST
    return math.exp(index / _PER_LOG + _MIDDLE)
