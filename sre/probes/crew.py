"""Who does the work? Daemon threads that are used again: the last one done is the warmest."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue

__all__ = ["Crew"]

Job = Callable[[], None]


class Crew:
    """As many threads as there are jobs at the same time; jobs must not raise.

    A job that hangs keeps its thread, and nobody waits for it, not even the end of the process.
    """

    def __init__(self) -> None:
        self._idle: deque[SimpleQueue[Job | None]] = deque()
        self._dismissed = False

    def do(self, job: Job) -> None:
        """Start a job at once, in a thread that is free or in a new one."""
        try:
            self._idle.pop().put(job)
        except IndexError:
            inbox: SimpleQueue[Job | None] = SimpleQueue()
            inbox.put(job)
            threading.Thread(target=self._work, args=(inbox,), name="crew", daemon=True).start()

    def dismiss(self) -> None:
        """Let idle threads end, and busy ones once they are done."""
        self._dismissed = True
        while self._idle:
            try:
                self._idle.pop().put(None)
            except IndexError:
                return

    def _work(self, inbox: SimpleQueue[Job | None]) -> None:
        while (job := inbox.get()) is not None:
            job()
            if self._dismissed:
                return
            self._idle.append(inbox)
