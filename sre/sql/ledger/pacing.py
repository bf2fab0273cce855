"""When is the next write due? One queue of arrivals for all writers, as customers come.

Arrivals do not wait for slow answers: while all writers are busy they grow late, are counted, and
are written as soon as somebody is free.
"""

from __future__ import annotations

import math
import threading

from sre.core.clock import Clock

__all__ = ["Arrivals"]


class Arrivals:
    """Hands out moments; threads share it. All times are seconds of the clock's `now`."""

    def __init__(self, clock: Clock, *, rate: float | None, seconds: float | None) -> None:
        self._clock, self._rate = clock, rate
        self._began = clock.now()
        self._ends = None if seconds is None else self._began + seconds
        self._taken = 0
        self._lock = threading.Lock()

    def take(self) -> float | None:
        """The moment of the next arrival, which is then nobody else's; None after the end."""
        with self._lock:
            now = self._clock.now()
            due = now if self._rate is None else self._began + self._taken / self._rate
            if self._ends is not None and max(now, due) >= self._ends:
                return None
            self._taken += 1
            return due

    def give_back(self) -> None:
        """An arrival was taken and not begun."""
        with self._lock:
            self._taken -= 1

    def unstarted(self, now: float) -> int:
        """How many were due by `now` (or the end) and were never taken."""
        if self._rate is None:
            return 0
        until = now if self._ends is None else min(now, self._ends)
        due = math.ceil((until - self._began) * self._rate - 1e-6)
        with self._lock:
            return max(0, due - self._taken)
