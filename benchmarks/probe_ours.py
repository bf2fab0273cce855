"""How much CPU does our scheduler spend on an HTTP probe, and how true are its times? (a child)

The whole way of the product: scheduler, loop, allow-list, phases, facts, record. `closed` keeps so
many probes in flight by a timetable that is always due; `paced` runs the real timetable, with
probes that are due once a second. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import threading
import time
from collections import Counter, deque
from typing import Any

from sre.core.clock import SystemClock
from sre.journey.guard import Guard
from sre.journey.shop import Shop
from sre.probes.httpoptions import TlsOptions
from sre.probes.kinds.http import HttpProbe
from sre.probes.model import Check
from sre.probes.plan import Plan
from sre.probes.record import Record
from sre.probes.runner import Result
from sre.probes.scheduler import Scheduler
from sre.probes.timetable import Due


class Always:
    """A timetable on which every check is due again as soon as it has ended."""

    def __init__(self, checks: tuple[Check, ...]) -> None:
        self._free = deque(checks)
        self._by_name = {check.name: check for check in checks}

    def again(self, name: str) -> None:
        """This check has ended."""
        self._free.append(self._by_name[name])

    def take(self, now: float) -> list[Due]:
        """All that are free."""
        found = [Due(check, now) for check in self._free]
        self._free.clear()
        return found

    def next_wake(self) -> float | None:
        """Now, if one is free."""
        return 0.0 if self._free else None


class Measured(Scheduler):
    """A scheduler that counts what lands, ends after so many, and knows the CPU in between."""

    def measure(self, warm: int, count: int, always: Always | None) -> None:
        """To be called before `run`."""
        self.warm, self.end, self.always = warm, warm + count, always
        self.seen = 0
        self.seconds: list[float] = []
        self.bad: Counter[str] = Counter()
        self.marks: list[tuple[float, float]] = []
        if always is not None:
            self._timetable = always

    def _land(self, flight: Any, result: Result) -> None:
        super()._land(flight, result)
        if self.seen >= self.end:  # what was under way is cancelled
            return
        self.seen += 1
        reading = result.reading
        if self.seen > self.warm:
            self.seconds.append(reading.seconds)
        if reading.outcome != "ok":
            self.bad[reading.message] += 1
        if self.seen in (self.warm, self.end):
            self.marks.append((time.process_time(), time.monotonic()))
        if self.seen >= self.end:
            self._stopping = True
        elif self.always is not None:
            self.always.again(result.probe)
        if self._loop is not None and (self._stopping or self.always is not None):
            self._loop.wake()


def main() -> None:
    """Run as told, print what came of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=("closed", "paced"))
    parser.add_argument("url")
    parser.add_argument("--probes", type=int, required=True, help="in flight, or a second")
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--warm", type=int, default=100)
    parser.add_argument("--ca")
    parser.add_argument("--burn", action="store_true", help="another thread computes meanwhile")
    parser.add_argument("--real-time", action="store_true", help="before everything else")
    told = parser.parse_args()
    if told.real_time:
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    tls = TlsOptions(ca_file=told.ca)
    checks = tuple(
        Check(f"target_{n}", "http", HttpProbe(told.url, tls=tls), 1.0, 5.0)
        for n in range(told.probes)
    )
    plan = Plan(checks, Shop("bench", "http://127.0.0.1:1"), Guard(["127.0.0.1:*"]))
    always = Always(checks) if told.mode == "closed" else None
    scheduler = Measured(plan, Record(), clock=SystemClock())
    scheduler.measure(told.warm, told.count, always)
    if told.burn:
        threading.Thread(target=_burn, daemon=True).start()
    scheduler.run()
    (cpu_0, wall_0), (cpu_1, wall_1) = scheduler.marks
    print(
        json.dumps(
            {
                "cpu_us": 1e6 * (cpu_1 - cpu_0) / told.count,
                "per_second": told.count / (wall_1 - wall_0),
                "p50_ms": 1000 * statistics.median(scheduler.seconds),
                "bad": scheduler.bad,
            }
        )
    )


def _burn() -> None:
    while True:
        sum(range(1000))


if __name__ == "__main__":
    main()
