"""Is it our own network that fails, and not the shop?

Addresses beyond the own network are asked for a connection: regularly, and whenever a probe failed
in a way that a dead network explains. While none of them accepts one, such failures are ours.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from queue import Empty, SimpleQueue

from sre.core.clock import Clock, SystemClock
from sre.journey.guard import Blocked, Guard, Unresolved
from sre.journey.result import Outcome, Reason, StepResult
from sre.probes.model import Reading

__all__ = ["Gate", "could_be_ours", "ours"]

log = logging.getLogger(__name__)

_EVERY = 15.0
"""Seconds between two looks when nobody asks."""

_PAUSE = 0.25
"""Seconds between two looks at least."""

_NETWORK = (Reason.DNS, Reason.CONNECT, Reason.TIMEOUT)


def could_be_ours(reading: Reading) -> bool:
    """Whether a dead network of our own would explain this failure."""
    return reading.outcome is Outcome.FAILED and reading.reason in _NETWORK


def ours(reading: Reading) -> Reading:
    """The same failure as our own: visible, and no event of an objective."""
    message = f"our own network is down, no address of the gate answers; seen: {reading.message}"
    steps = tuple(_our_step(step) for step in reading.steps)
    return replace(reading, reason=Reason.PROBER, message=message, steps=steps)


def _our_step(step: StepResult) -> StepResult:
    network = step.outcome is Outcome.FAILED and step.reason in _NETWORK
    return replace(step, reason=Reason.PROBER) if network else step


class Gate:
    """Looks at the addresses in a thread of its own, and answers whoever asks.

    Args:
        addresses: `HOST:PORT`, each admitted by being named here.
        changed: told of the state after each look.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        timeout: float,
        *,
        clock: Clock | None = None,
        changed: Callable[[bool], None] = lambda _up: None,
    ) -> None:
        self._addresses = tuple(addresses)
        self._timeout = timeout
        self._clock = clock or SystemClock()
        self._changed = changed
        self._guard = Guard(self._addresses)
        self._lock = threading.Condition()
        self._asking: deque[tuple[float, Callable[[bool], None]]] = deque()
        self._looked = float("-inf")
        self._failed = float("-inf")
        self._up = True
        self._ended = False
        threading.Thread(target=self._work, name="gate", daemon=True).start()

    def ask(self, since: float, then: Callable[[bool], None]) -> None:
        """Call `then` with whether the network has worked since a moment (wall clock).

        At once when that is known, else from the gate's thread after a look. From here on moments
        are those of the clock that never jumps: a look of before a jump is not one of tomorrow.
        """
        since = self._clock.now() - max(0.0, self._clock.wall() - since)
        with self._lock:
            known = self._known(since)
            if known is None and not self._ended:
                self._asking.append((since, then))
                self._lock.notify()
                return
        then(known is not False)

    def close(self) -> None:
        """Stop looking; who still waits is told that nothing is known against the target."""
        with self._lock:
            self._ended = True
            self._lock.notify()

    def _known(self, since: float) -> bool | None:
        """False after a look that failed since then, True after one that did not, else None."""
        if self._failed >= since:
            return False
        return self._up if self._looked >= since else None

    def _work(self) -> None:
        while not self._ended:
            began = self._clock.now()
            up = self._look()
            with self._lock:
                if up != self._up:
                    log.warning("the own network %s", "works again" if up else "seems to be down")
                self._up, self._looked = up, began
                self._failed = self._failed if up else began
            self._changed(up)
            self._answer()
            with self._lock:
                self._lock.wait_for(lambda: self._ended, _PAUSE)
                self._lock.wait_for(lambda: self._ended or bool(self._asking), _EVERY - _PAUSE)
        self._answer()

    def _answer(self) -> None:
        with self._lock:
            asked, self._asking = self._asking, deque()
            told = []
            for since, then in asked:
                known = self._known(since)
                if known is None and not self._ended:
                    self._asking.append((since, then))
                else:
                    told.append((then, known is not False))
        for then, up in told:
            try:
                then(up)
            except Exception:
                log.exception("a result that waited for the gate was lost, a bug of ours")

    def _look(self) -> bool:
        """Whether one of the addresses accepts a connection in time."""
        answers: SimpleQueue[bool] = SimpleQueue()
        for address in self._addresses:
            work = threading.Thread(
                target=lambda at=address: answers.put(self._answers(at)), daemon=True
            )
            work.start()
        until = self._clock.now() + self._timeout
        for _ in self._addresses:
            try:
                if answers.get(timeout=max(0.001, until - self._clock.now())):
                    return True
            except Empty:
                return False
        return False

    def _answers(self, address: str) -> bool:
        host, _, port = address.rpartition(":")
        try:
            at = self._guard.admit(host, int(port), self._timeout)
            socket.create_connection((at.address, at.port), self._timeout).close()
        except Blocked:
            log.error("the gate %s leads into a private network; write the address itself", address)
            return True  # it cannot say anything: no failure is taken for ours
        except (Unresolved, OSError):
            return False
        return True
