"""How do several processes of this machine share one load?"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from sre.core.clock import Clock
from sre.core.errors import Transient
from sre.loadtest.crew.wire import WorkerPlan
from sre.loadtest.crew.worker import Worker

__all__ = ["LocalCrew", "share_of"]

_READY_SECONDS = 60.0
_LEAD = 0.5
_POLL = 0.1


class LocalCrew:
    """`workers` child processes, joined by pipes; their logs go to `out`."""

    def __init__(self, out: Path, workers: int, clock: Clock) -> None:
        self._workers = [Worker(out / f"worker-{number}.log", clock) for number in range(workers)]
        self.members: Sequence[Worker] = self._workers
        self._clock = clock

    def launch(self, plan: WorkerPlan, asked: Callable[[], bool]) -> float:
        """As Crew.launch."""
        for worker in self._workers:
            worker.start()
        for number, worker in enumerate(self._workers):
            cap = share_of(plan.max_in_flight, number, len(self._workers))
            own = replace(plan, worker=number, max_in_flight=cap, report=worker.report)
            worker.send_plan(own)
        end = self._clock.now() + _READY_SECONDS
        for worker in self._workers:
            while not worker.ready.wait(_POLL) and not asked() and self._clock.now() < end:
                pass
            if not worker.is_ready and not asked():
                raise Transient(f"a load worker did not come up; see {worker.log}")
        begin = self._clock.now() + _LEAD
        for worker in self._workers:
            worker.send_start(begin)
        return begin

    def ask_to_stop(self) -> None:
        """As Crew.ask_to_stop."""
        for worker in self._workers:
            worker.ask_to_stop()

    def finish(self) -> None:
        """As Crew.finish; empty logs are removed."""
        for worker in self._workers:
            worker.finish(0.0)
            with contextlib.suppress(OSError):
                if not worker.log.stat().st_size:
                    worker.log.unlink()


def share_of(cap: int, number: int, of: int) -> int:
    """The part of `cap` that member `number` (from 0) of `of` gets; at least 1."""
    return max(1, cap // of + (1 if number < cap % of else 0))
