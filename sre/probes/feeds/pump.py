"""How do results reach other monitors without ever holding up a probe?

Each feed has a bounded queue and a thread. While a monitor does not answer, its results wait; when
the queue is full the oldest are dropped and counted.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from sre.core.clock import Clock, Deadline, SystemClock
from sre.core.errors import SreError
from sre.core.metrics import describe
from sre.core.secrets import redactor
from sre.probes.feeds.model import Rejected, Sent
from sre.probes.model import Check, Result

__all__ = ["Pump", "Pumps"]

log = logging.getLogger(__name__)

_QUEUE = 20_000
_BATCH = 1000
_TIMEOUT = 10.0
_ANNOUNCE = 3600.0
_LAST_WORDS = 3.0


@dataclass
class Tally:
    """What came of a feed so far."""

    results: int = 0
    failures: int = 0
    dropped: int = 0
    last_success: float | None = None


class Pump:
    """One feed at work."""

    def __init__(self, sent: Sent, clock: Clock) -> None:
        self.sent = sent
        self.tally = Tally()
        self._clock = clock
        self._queue: deque[Result] = deque()
        self._lock = threading.Lock()
        self._checks: Sequence[Check] = ()
        self._announced: float | None = None
        self._ended = threading.Event()
        self._failing = False
        self._thread = threading.Thread(target=self._work, name=f"feed {sent.name}", daemon=True)

    def start(self, checks: Sequence[Check]) -> None:
        """Begin to send."""
        self.adopt(checks)
        self._thread.start()

    def adopt(self, checks: Sequence[Check]) -> None:
        """Other probes: they are announced with the next sending."""
        self._checks, self._announced = checks, None

    def hear(self, result: Result) -> None:
        """A run has ended; returns at once."""
        with self._lock:
            self._queue.append(result)
            lost = len(self._queue) - _QUEUE
            for _ in range(lost):
                self._queue.popleft()
        self.tally.dropped += max(0, lost)

    def stop(self) -> None:
        """Send what is there, once, and end."""
        self._ended.set()
        self._thread.join(_LAST_WORDS + 1)

    def _work(self) -> None:
        while not self._ended.wait(self.sent.every):
            self._round(_TIMEOUT)
        self._round(_LAST_WORDS)

    def _round(self, seconds: float) -> None:
        """Everything that waits, a batch at a time, until something goes wrong."""
        deadline = Deadline.after(seconds, self._clock)
        try:
            self._announce(deadline)
            while (batch := self._batch()) and not deadline.passed():
                self._send(batch, deadline)
        except SreError as error:
            self._complain(redactor.mask(str(error)))
        except Exception as error:
            self._complain(f"{type(error).__name__}, a bug of ours")
            log.debug("feed %s", self.sent.name, exc_info=True)

    def _announce(self, deadline: Deadline) -> None:
        now = self._clock.now()
        if self._announced is None or now - self._announced > _ANNOUNCE:
            checks = self._checks
            self.sent.feed.announce(checks, deadline)
            if checks is self._checks:
                self._announced = now

    def _send(self, batch: list[Result], deadline: Deadline) -> None:
        try:
            self.sent.feed.send(batch, deadline)
        except Rejected as error:
            self.tally.dropped += len(batch)
            self._complain(redactor.mask(str(error)))
        else:
            self.tally.results += len(batch)
            self.tally.last_success = self._clock.wall()
            if self._failing:
                log.warning("feed %s: sending again", self.sent.name)
            self._failing = False
        with self._lock:
            for result in batch:
                if self._queue and self._queue[0] is result:
                    self._queue.popleft()

    def _batch(self) -> list[Result]:
        with self._lock:
            return [self._queue[index] for index in range(min(_BATCH, len(self._queue)))]

    def _complain(self, words: str) -> None:
        self.tally.failures += 1
        if not self._failing:
            log.warning("feed %s: %s", self.sent.name, words)
        self._failing = True


class Pumps(Collector):
    """All feeds of one service, replaced together with the declaration; and their metrics."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._pumps: dict[str, Pump] = {}

    def adopt(self, feeds: Sequence[Sent], checks: Sequence[Check]) -> None:
        """Start what is new, stop what is gone or changed, keep the rest with its queue."""
        wanted = {sent.name: sent for sent in feeds}
        for name in [n for n, pump in self._pumps.items() if wanted.get(n) != pump.sent]:
            self._pumps.pop(name).stop()
        for name, sent in wanted.items():
            if name in self._pumps:
                self._pumps[name].adopt(checks)
            else:
                pump = self._pumps[name] = Pump(sent, self._clock)
                pump.start(checks)

    def hear(self, result: Result) -> None:
        """A run has ended."""
        for pump in list(self._pumps.values()):
            pump.hear(result)

    def describe(self) -> Iterable[Metric]:
        """Nothing: which feeds there are is known only once the declaration was read."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """How each feed does."""
        if not self._pumps:
            return
        for name, value_of in _TOLD.items():
            info = describe(name)
            family = Metric(name.removesuffix("_total"), info.help, info.type)
            for feed, pump in list(self._pumps.items()):
                value = value_of(pump.tally)
                if value is not None:
                    family.add_sample(name, {"feed": feed}, value)
            yield family

    def stop(self) -> None:
        """Send what waits, and end."""
        for pump in self._pumps.values():
            pump.stop()


_TOLD: dict[str, Callable[[Tally], float | None]] = {
    "sre_feed_results_total": lambda tally: tally.results,
    "sre_feed_failures_total": lambda tally: tally.failures,
    "sre_feed_dropped_results_total": lambda tally: tally.dropped,
    "sre_feed_last_success_timestamp_seconds": lambda tally: tally.last_success,
}
