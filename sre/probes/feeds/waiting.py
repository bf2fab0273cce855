"""Which results wait for a monitor, and which are given up when there are too many?

Bounded by what they weigh, not by their number alone: one run may have found a thousand numbers.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice

from sre.probes.model import Result

__all__ = ["Waiting"]

_RESULTS, _POINTS = 20_000, 200_000
_BATCH, _BATCH_POINTS = 1000, 20_000


def _points(result: Result) -> int:
    """How many numbers, at least, a monitor gets of it."""
    return 1 + len(result.reading.gauges) + len(result.reading.steps)


class Waiting:
    """A queue that drops its oldest. Thread-safe."""

    def __init__(self, results: Iterable[Result] = ()) -> None:
        self._lock = threading.Lock()
        self._results = deque(results)
        self._points = sum(map(_points, self._results))

    def put(self, result: Result) -> int:
        """One more; how many were dropped for it."""
        lost = 0
        with self._lock:
            self._results.append(result)
            self._points += _points(result)
            while len(self._results) > _RESULTS or (
                self._points > _POINTS and len(self._results) > 1
            ):
                self._points -= _points(self._results.popleft())
                lost += 1
        return lost

    def batch(self) -> list[Result]:
        """The oldest, as many as go together; they stay until they are done."""
        found: list[Result] = []
        points = 0
        with self._lock:
            for result in islice(self._results, _BATCH):
                points += _points(result)
                if found and points > _BATCH_POINTS:
                    break
                found.append(result)
        return found

    def done(self, batch: Sequence[Result]) -> None:
        """These need not wait any longer; some may have been dropped meanwhile."""
        with self._lock:
            for result in batch:
                if self._results and self._results[0] is result:
                    self._points -= _points(self._results.popleft())

    def taken(self) -> list[Result]:
        """All of them, which wait here no longer."""
        with self._lock:
            found, self._points = list(self._results), 0
            self._results.clear()
        return found
