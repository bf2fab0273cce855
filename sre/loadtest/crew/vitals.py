"""How busy, how starved and how full is this process, second by second?

Linux tells most of it in /proc; where a number is missing it is left out, never guessed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import resource
import time
from pathlib import Path
from typing import Any

__all__ = ["Canary", "Health", "Vitals", "host_steal"]

_SCHEDSTAT = Path("/proc/self/schedstat")
_STAT = Path("/proc/stat")


class Vitals:
    """The worker's side: call `sample` about once a second."""

    def __init__(self, now: float) -> None:
        self._at = now
        self._cpu = _cpu_seconds()
        self._run, self._wait = _schedstat() or (0, 0)
        self._idle = _idle_ticks()
        self._steal = host_steal()

    def sample(self, now: float) -> dict[str, Any]:
        """What happened since the last call. Seconds on one clock; JSON-ready."""
        cpu, schedule = _cpu_seconds(), _schedstat()
        seen: dict[str, Any] = {
            "seconds": now - self._at,
            "cpu": cpu - self._cpu,
            "file_descriptors": _file_descriptors(),
        }
        if schedule is not None:
            seen["run"] = (schedule[0] - self._run) / 1e9
            seen["wait"] = (schedule[1] - self._wait) / 1e9
            self._run, self._wait = schedule
        idle = _idle_ticks()
        if idle is not None and self._idle is not None:
            seen["idle"] = [idle[0] - self._idle[0], idle[1] - self._idle[1]]
        steal = host_steal()
        if steal is not None and self._steal is not None:
            seen["steal"] = [steal[0] - self._steal[0], steal[1] - self._steal[1]]
        self._at, self._cpu, self._idle, self._steal = now, cpu, idle, steal
        return seen


class Canary:
    """What share of a CPU does this process get when it wants one?

    A sip of pure computing, 20 ms, once a second, in a thread of its own (it holds no lock of the
    interpreter). A generator that sends little needs little, and schedulers favour the light: its
    own waiting says nothing about what a burst of answers would meet. The sip does.
    """

    _SIP = 0.020

    def __init__(self) -> None:
        self._rounds = 2000
        spent = min(self.sip()[0] for _ in range(3))
        self._rounds = max(1, int(self._rounds * self._SIP / max(spent, 1e-6)))

    def sip(self) -> tuple[float, float]:
        """(CPU seconds, wall seconds) of one sip; blocks its thread."""
        cpu, wall = time.thread_time(), time.monotonic()
        hashlib.pbkdf2_hmac("sha256", b"canary", b"mine", self._rounds)
        return time.thread_time() - cpu, time.monotonic() - wall


class Health:
    """The parent's side: adds one worker's samples up."""

    def __init__(self) -> None:
        self._recent: list[tuple[float, float]] = []
        self._run = self._wait = 0.0
        self._sips = [0.0, 0.0]
        self._ticks = [0, 0]
        self._stolen = [0, 0]
        self.busiest = 0.0
        self.file_descriptors = 0.0

    def add(self, seen: dict[str, Any]) -> None:
        """Take one sample of `Vitals` in."""
        self._recent = [*self._recent, (seen["seconds"], seen["cpu"])]
        while sum(seconds for seconds, _ in self._recent[1:]) >= 4.9:
            self._recent.pop(0)
        window = sum(seconds for seconds, _ in self._recent)
        if window >= 4.9:
            self.busiest = max(self.busiest, sum(cpu for _, cpu in self._recent) / window)
        self._run += seen.get("run", 0.0)
        self._wait += seen.get("wait", 0.0)
        for cpu, wall in seen.get("sips", ()):
            self._sips = [self._sips[0] + cpu, self._sips[1] + wall]
        idle, ticks = seen.get("idle", (0, 0))
        self._ticks = [self._ticks[0] + idle, self._ticks[1] + ticks]
        stolen, of = seen.get("steal", (0, 0))
        self._stolen = [self._stolen[0] + stolen, self._stolen[1] + of]
        self.file_descriptors = max(self.file_descriptors, seen["file_descriptors"])

    @property
    def starvation(self) -> float | None:
        """The share of a CPU that it did not get when it wanted a whole one; None if not asked."""
        cpu, wall = self._sips
        return max(0.0, 1.0 - cpu / wall) if wall else None

    @property
    def idle(self) -> float | None:
        """The share of time in which the CPUs it may use had nothing to do; None if unknown."""
        idle, ticks = self._ticks
        return idle / ticks if ticks else None

    @property
    def steal(self) -> float | None:
        """The share of CPU that its host was not given by the host of that; None if unknown."""
        stolen, ticks = self._stolen
        return stolen / ticks if ticks else None

    @property
    def queueing(self) -> float | None:
        """Waiting on a run queue as a share of running and waiting; None where unknown."""
        wanted = self._run + self._wait
        return self._wait / wanted if wanted else None


def host_steal() -> tuple[int, int] | None:
    """(stolen, all) ticks of the machine since it started; differences mean something."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        with _STAT.open(encoding="ascii") as lines:
            ticks = [int(word) for word in lines.readline().split()[1:9]]
        return ticks[7], sum(ticks)
    return None


def _idle_ticks() -> tuple[int, int] | None:
    """(idle, all) ticks of the CPUs that this process may use."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        mine = {f"cpu{number}" for number in os.sched_getaffinity(0)}
        idle = total = 0
        with _STAT.open(encoding="ascii") as lines:
            for line in lines:
                name, *ticks = line.split()
                if name in mine:
                    idle += int(ticks[3]) + int(ticks[4])
                    total += sum(int(tick) for tick in ticks[:8])
        return idle, total
    return None


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _schedstat() -> tuple[int, int] | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        words = _SCHEDSTAT.read_text(encoding="ascii").split()
        return int(words[0]), int(words[1])
    return None


def _file_descriptors() -> float:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError):
        return sum(1 for _ in Path("/proc/self/fd").iterdir()) / limit if limit > 0 else 0.0
    return 0.0
