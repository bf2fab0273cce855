"""What does the parent know of one generator, from the deltas that it sends?"""

from __future__ import annotations

import threading
from typing import Any

from sre.loadtest.book import Book
from sre.loadtest.crew.vitals import Health
from sre.loadtest.histogram import Histogram
from sre.loadtest.recorder import Collector

__all__ = ["NOT_A_DELTA", "Hearing"]

NOT_A_DELTA = (ValueError, KeyError, TypeError, AttributeError, OverflowError)
"""What `Hearing.take` raises for something that is none."""


class Hearing:
    """The ear for one generator; a thread may fill it while others read.

    Attributes:
        in_flight: journeys under way when it last reported.
        stopped: when it stopped arrivals early, in seconds from the start; None if it did not.
        clock: how far its start may be from ours, seconds; None where both read one clock.
    """

    def __init__(self) -> None:
        self.collector = Collector()
        self.health = Health()
        self._lag = Histogram()
        self.in_flight = 0
        self.stopped: float | None = None
        self.clock: float | None = None
        self._lock = threading.Lock()

    def take(self, delta: dict[str, Any]) -> None:
        """Take one delta in. Raises what NOT_A_DELTA lists when it is none."""
        with self._lock:
            self.collector.add(delta)
            self._lag.merge(Histogram.from_plain(delta["lag"]))
        self.health.add(delta["vitals"])
        self.in_flight = delta["in_flight"]
        if delta.get("stopped") is not None:
            self.stopped = delta["stopped"]

    @property
    def adds_up(self) -> bool:
        """No delta is missing, and every arrival has come to an end."""
        return self.collector.adds_up

    @property
    def lag(self) -> Histogram:
        """Of its event loop, seconds; a copy."""
        lag = Histogram()
        with self._lock:
            lag.merge(self._lag)
        return lag

    def snapshot(self) -> Book:
        """Everything it has reported so far; a copy."""
        book = Book()
        with self._lock:
            book.merge(self.collector.book)
        return book
