"""How does a listener hear of every run, and hold up none?"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import Full, Queue

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
        self._waiting: Queue[Result | None] = Queue(_MOST)
        self._missed = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="listener", daemon=True)
        self._thread.start()

    def put(self, result: Result) -> None:
        """Never waits."""
        try:
            self._waiting.put_nowait(result)
        except Full:
            self._missed += 1
            if self._missed == 1:
                log.error("a listener is %d results behind and misses further ones", _MOST)

    def close(self) -> None:
        """Let it hear what there is, a few seconds at most."""
        self._closing.set()
        try:
            self._waiting.put(None, timeout=_CLOSING)
        except Full:
            return
        self._thread.join(_CLOSING)

    def _work(self) -> None:
        while (result := self._waiting.get()) is not None:
            try:
                self._listener(result)
            except Exception:
                log.exception("a listener stumbled over %s, a bug of ours", result.probe)
            if self._waiting.empty() and not self._closing.is_set():
                self._closing.wait(_GATHERING)  # waking for each of many results costs more
