"""How busy, how starved and how full is this process, second by second?

Linux tells most of it in /proc; where a number is missing it is left out, never guessed.
"""

from __future__ import annotations

import contextlib
import resource
from pathlib import Path
from typing import Any

__all__ = ["Health", "Vitals", "host_steal"]

_SCHEDSTAT = Path("/proc/self/schedstat")
_STAT = Path("/proc/stat")


class Vitals:
    """The worker's side: call `sample` about once a second."""

    def __init__(self, now: float) -> None:
        self._at = now
        self._cpu = _cpu_seconds()
        self._run, self._wait = _schedstat() or (0, 0)

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
        self._at, self._cpu = now, cpu
        return seen


class Health:
    """The parent's side: adds one worker's samples up."""

    def __init__(self) -> None:
        self._recent: list[tuple[float, float]] = []
        self._run = self._wait = 0.0
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
        self.file_descriptors = max(self.file_descriptors, seen["file_descriptors"])

    @property
    def starvation(self) -> float | None:
        """Waiting for a CPU as a share of wanting one; None where unknown."""
        wanted = self._run + self._wait
        return self._wait / wanted if wanted else None


def host_steal() -> tuple[int, int] | None:
    """(stolen, all) ticks of the machine since it started; differences mean something."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        with _STAT.open(encoding="ascii") as lines:
            ticks = [int(word) for word in lines.readline().split()[1:9]]
        return ticks[7], sum(ticks)
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
