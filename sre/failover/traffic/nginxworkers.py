"""Which generation of nginx' workers runs, and has the file changed since?

nginx says nothing about its upstreams, but its processes do: a reload starts workers anew, and
those of before end once their last session has.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from sre.core.errors import Transient

__all__ = ["Generation", "generation"]

_SLACK = 0.02  # the kernel counts starts in hundredths of a second


@dataclass(frozen=True)
class Generation:
    """The workers of a master.

    Attributes:
        current: process numbers of those that take work.
        leaving: of those that only finish what they have.
        age: seconds since the youngest current one was started.
    """

    master: int
    current: frozenset[int]
    leaving: frozenset[int]
    age: float

    def older_than(self, path: str) -> bool:
        """Whether the file was changed after the workers had been started."""
        return time.time() - Path(path).stat().st_mtime + _SLACK < self.age  # noqa: TID251  file times


def generation(pid_file: str) -> Generation:
    """The workers of the master whose number stands in `pid_file`.

    Raises:
        Transient: nginx does not run.
    """
    try:
        master = int(Path(pid_file).read_text(encoding="ascii"))
        children = psutil.Process(master).children()
    except (OSError, ValueError, psutil.Error) as error:
        raise Transient(
            f"nginx does not run ({pid_file} names no process); `pid` is the file of its `pid` "
            "directive"
        ) from error
    current, leaving, ages = set(), set(), []
    for child in children:
        try:
            title = " ".join(child.cmdline())
            started = _age(child.pid)
        except (psutil.Error, OSError, ValueError):
            continue
        if "worker process is shutting down" in title:
            leaving.add(child.pid)
        elif "worker process" in title:
            current.add(child.pid)
            ages.append(started)
    return Generation(master, frozenset(current), frozenset(leaving), min(ages, default=0.0))


def _age(pid: int) -> float:
    """Seconds since a process was started; exact, unlike a time of day reckoned from the boot."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
