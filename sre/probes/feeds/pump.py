"""How do results reach other monitors without ever holding up a probe?

Each feed has a bounded queue and a thread. While a monitor does not answer, its results wait; when
the queue is full the oldest are dropped and counted.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from sre.core.clock import Clock, Deadline, SystemClock
from sre.core.errors import SreError
from sre.core.metrics import describe
from sre.core.secrets import redactor
from sre.probes.feeds.model import Rejected, Sent
from sre.probes.feeds.waiting import Waiting
from sre.probes.model import Check, Result

__all__ = ["Pump", "Pumps"]

log = logging.getLogger(__name__)

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
    """One feed at work.

    Args:
        heir_of: the feed that had this name before: what waits for it, and its counts, go on.
    """

    def __init__(self, sent: Sent, clock: Clock, heir_of: Pump | None = None) -> None:
        self.sent = sent
        self.tally: Tally = Tally() if heir_of is None else heir_of.tally
        self._clock = clock
        self._waiting = Waiting() if heir_of is None else Waiting(heir_of.leave_to(self))
        self._heir: Pump | None = None
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
        self.tally.dropped += self._waiting.put(result)

    def leave_to(self, heir: Pump) -> list[Result]:
        """Send nothing more; what waits. A batch under way is sent again, which does no harm."""
        self._heir = heir
        self._ended.set()
        return self._waiting.taken()

    def end(self) -> None:
        """Send what is there, once, and end; returns at once."""
        self._ended.set()

    def join(self, until: float) -> None:
        """Wait for that end, but no longer than until a moment (monotonic)."""
        self._thread.join(max(0.0, until - time.monotonic()))

    def _work(self) -> None:
        while not self._ended.wait(self.sent.every):
            self._round(_TIMEOUT)
        if self._heir is None:
            self._round(_LAST_WORDS)

    def _round(self, seconds: float) -> None:
        """Everything that waits, a batch at a time, until something goes wrong."""
        deadline = Deadline.after(seconds, self._clock)
        try:
            self._announce(deadline)
            while (batch := self._waiting.batch()) and not deadline.passed():
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
        self._waiting.done(batch)

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
        self._lock = threading.Lock()

    def adopt(self, feeds: Sequence[Sent], checks: Sequence[Check]) -> None:
        """Start what is new, stop what is gone, keep the rest with its queue; never waits."""
        with self._lock:
            before, self._pumps = self._pumps, {}
            for sent in feeds:
                old = before.pop(sent.name, None)
                if old is not None and old.sent == sent:
                    old.adopt(checks)
                    self._pumps[sent.name] = old
                else:
                    pump = self._pumps[sent.name] = Pump(sent, self._clock, old)
                    pump.start(checks)
        for pump in before.values():
            pump.end()

    def hear(self, result: Result) -> None:
        """A run has ended."""
        with self._lock:
            for pump in self._pumps.values():
                pump.hear(result)

    def describe(self) -> Iterable[Metric]:
        """Nothing: which feeds there are is known only once the declaration was read."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """How each feed does."""
        with self._lock:
            pumps = dict(self._pumps)
        if not pumps:
            return
        for name, value_of in _TOLD.items():
            info = describe(name)
            family = Metric(name.removesuffix("_total"), info.help, info.type)
            for feed, pump in pumps.items():
                value = value_of(pump.tally)
                if value is not None:
                    family.add_sample(name, {"feed": feed}, value)
            yield family

    def stop(self) -> None:
        """Send what waits, and end: all of them at the same time."""
        with self._lock:
            pumps = list(self._pumps.values())
        for pump in pumps:
            pump.end()
        until = time.monotonic() + _LAST_WORDS + 1
        for pump in pumps:
            pump.join(until)


_TOLD: dict[str, Callable[[Tally], float | None]] = {
    "sre_feed_results_total": lambda tally: tally.results,
    "sre_feed_failures_total": lambda tally: tally.failures,
    "sre_feed_dropped_results_total": lambda tally: tally.dropped,
    "sre_feed_last_success_timestamp_seconds": lambda tally: tally.last_success,
}
