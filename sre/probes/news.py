"""How does a listener hear of every run, and hold up none?"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

from sre.probes.runner import Result

__all__ = ["News"]

log = logging.getLogger(__name__)

_MOST = 100_000
"""Results that wait for a listener; one that is so far behind misses some."""

_CLOSING = 10.0

_GATHERING = 0.1
"""Seconds for which a listener that has heard all there is looks away."""


class News:
    """Hands results to a listener, in their order, in one thread of its own."""

    def __init__(self, listener: Callable[[Result], None]) -> None:
        self._listener = listener
        self._waiting: deque[Result] = deque()
        self._missed = 0
        self._closing, self._some = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="listener", daemon=True)
        self._thread.start()

    def put(self, result: Result) -> None:
        """Never waits."""
        if len(self._waiting) >= _MOST:
            self._missed += 1
            if self._missed == 1:
                log.error("a listener is %d results behind and misses further ones", _MOST)
            return
        self._waiting.append(result)
        if not self._some.is_set():
            self._some.set()

    def close(self) -> None:
        """Let it hear what there is, a few seconds at most."""
        self._closing.set()
        self._some.set()
        self._thread.join(_CLOSING)

    def _work(self) -> None:
        while self._waiting or not self._closing.is_set():
            self._some.wait()
            self._some.clear()  # before looking: what comes from now on rings again
            while self._waiting:
                self._tell(self._waiting.popleft())
            self._closing.wait(_GATHERING)  # waking for each of many results costs more

    def _tell(self, result: Result) -> None:
        try:
            self._listener(result)
        except Exception:
            log.exception("a listener stumbled over %s, a bug of ours", result.probe)
