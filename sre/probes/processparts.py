"""Which processes belong to a group, and what do they use? As the kernel tells, in base units."""

from __future__ import annotations

import os
import pwd
import re
import resource
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from sre.core.clock import Clock
from sre.probes.bounds import Of
from sre.probes.facts import Facts
from sre.probes.model import Gauge
from sre.probes.parts import Found

__all__ = ["FACTS", "Group", "Wanted", "groups_of", "measured_group", "settle"]

_COMM_LENGTH = 15
"""Characters of a name that the kernel keeps; psutil completes it from the command line."""

FACTS = Facts(
    "process",
    ("collector_success", "Whether a part of a group could be read.", "group", "collector"),
    ("processes", "Running processes of a group, zombies left out.", "group"),
    ("zombies", "Processes of a group that ended and that nobody has waited for.", "group"),
    ("cpu_seconds_total", "Processor time of the processes that run now.", "group"),
    ("cpus_used", "Processors that a group keeps busy.", "group"),
    ("resident_memory_bytes", "Memory that a group holds; shared pages count in each.", "group"),
    ("threads", "Threads of a group.", "group"),
    ("open_files", "File descriptors that a group has open.", "group"),
    ("open_files_worst_ratio", "Share of its limit that one process has open, at most.", "group"),
    ("oldest_start_timestamp_seconds", "When the oldest process was started.", "group"),
    ("newest_start_timestamp_seconds", "When the newest was; changes with a restart.", "group"),
    ("read_bytes_total", "Bytes that the processes read from disks.", "group"),
    ("written_bytes_total", "Bytes that the processes wrote to disks.", "group"),
)
"""What a group of processes tells."""


@dataclass(frozen=True)
class Wanted:
    """Which processes belong to a group: all that is given must hold.

    Attributes:
        cmdline: matches somewhere in the arguments, joined by spaces.
        pid_file: a file with a process's number.
        user: name or number of the user it runs as.
    """

    name: str
    program: str | None = None
    cmdline: re.Pattern[str] | None = None
    pid_file: Path | None = None
    user: str | None = None


@dataclass
class Group:
    """The processes of a group.

    Attributes:
        why: why there may be none, for people.
    """

    wanted: Wanted
    alive: list[psutil.Process] = field(default_factory=list)
    zombies: int = 0
    why: str = ""


def groups_of(wanted: Sequence[Wanted]) -> list[Group]:
    """The processes of every group, in one pass over all there are; our own is in none."""
    groups = [Group(one) for one in wanted]
    pids = {id(g): _pid_of(g) for g in groups if g.wanted.pid_file is not None}
    users = {id(g): _uid_of(g) for g in groups if g.wanted.user is not None}
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        for group in groups:
            if pids.get(id(group), process.pid) == process.pid:
                _sort_in(group, process, users.get(id(group)))
    return groups


def _sort_in(group: Group, process: psutil.Process, uid: int | None) -> None:
    """A process that ends while it is looked at was none."""
    try:
        if not _belongs(group.wanted, process, uid):
            return
        if process.status() == psutil.STATUS_ZOMBIE:
            group.zombies += 1
        else:
            group.alive.append(process)
    except psutil.Error:
        return


def _belongs(wanted: Wanted, process: psutil.Process, uid: int | None) -> bool:
    if wanted.user is not None and process.uids().effective != uid:
        return False
    if wanted.program is not None and not _named(wanted.program, process):
        return False
    return wanted.cmdline is None or bool(wanted.cmdline.search(" ".join(process.cmdline())))


def _named(program: str, process: psutil.Process) -> bool:
    """Its own name; a program that renamed itself is known by that, a zombie by 15 characters."""
    name = process.name()
    return name == program or (len(name) == _COMM_LENGTH and program.startswith(name))


def _pid_of(group: Group) -> int | None:
    """The number in the file; None, and why, when there is none."""
    path = group.wanted.pid_file
    try:
        text = path.read_text(encoding="ascii", errors="replace") if path else ""
        pid = int((text.split() or [""])[0])
    except OSError as error:
        group.why = f"{path}: {error.strerror}"
    except ValueError:
        group.why = f"{path} holds no process number"
    else:
        group.why = f"{path} names {pid}, which does not run or is another program"
        return pid
    return None


def _uid_of(group: Group) -> int | None:
    user = group.wanted.user or ""
    if user.isdecimal():
        return int(user)
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        group.why = f"there is no user {user!r} on this machine"
        return None


def measured_group(group: Group, before: dict[int, float], seconds: float) -> Found:
    """What a group uses; `before` is processor time by process, `seconds` ago.

    A part that may not be read of one process is left out whole: half a sum looks like less use.
    """
    name = group.wanted.name
    gauges: list[Gauge] = [
        FACTS("processes", len(group.alive), group=name),
        FACTS("zombies", group.zombies, group=name),
    ]
    used: dict[str, float | None] = {"zombies": Of(group.zombies, name)}
    parts: dict[str, Callable[[psutil.Process], Any]] = {
        "cpu": cpu_of,
        "memory": lambda p: p.memory_info().rss,
        "threads": lambda p: p.num_threads(),
        "start": lambda p: p.create_time(),
        "files": lambda p: (p.num_fds(), _fd_limit(p)),
        "io": lambda p: p.io_counters()[2:4],
    }
    for part, reader in parts.items():
        read = _read(group.alive, reader)
        gauges.append(FACTS("collector_success", read is not None, group=name, collector=part))
        if read is None:
            continue
        told = _TURN[part](name, read)
        gauges += told.gauges
        used |= told.used
        if part == "cpu":
            busy = sum(max(0.0, now - before.get(pid, now)) for pid, now in read.items())
            gauges.append(FACTS("cpus_used", busy / seconds, group=name))
            used["cpus"] = Of(busy / seconds, name)
    return Found(tuple(gauges), used)


def cpu_of(process: psutil.Process) -> float:
    """Processor seconds of one process."""
    times = process.cpu_times()
    return float(times.user + times.system)


def settle(groups: Iterable[Group], clock: Clock, seconds: float) -> dict[int, float]:
    """Processor time of every process now, and a pause."""
    before: dict[int, float] = {}
    for group in groups:
        before |= _read(group.alive, cpu_of) or {}
    clock.sleep(seconds)
    return before


def _read(
    processes: Sequence[psutil.Process], reader: Callable[[psutil.Process], Any]
) -> dict[int, Any] | None:
    """The part of each process that still runs; None: it may not be read of one."""
    found = {}
    for process in processes:
        try:
            found[process.pid] = reader(process)
        except (psutil.AccessDenied, NotImplementedError, AttributeError, PermissionError):
            return None
        except (psutil.Error, OSError):
            continue
    return found


def _fd_limit(process: psutil.Process) -> float:
    soft, _hard = process.rlimit(psutil.RLIMIT_NOFILE)
    return float("inf") if soft in (resource.RLIM_INFINITY, -1) else float(soft)


def _sum(metric: str, limit: str | None = None) -> Callable[[str, dict[int, Any]], Found]:
    def turn(name: str, read: dict[int, Any]) -> Found:
        total = float(sum(read.values()))
        used = {limit: Of(total, name)} if limit else {}
        return Found((FACTS(metric, total, group=name),), used)

    return turn


def _starts(name: str, read: dict[int, Any]) -> Found:
    if not read:
        return Found()
    oldest, newest = min(read.values()), max(read.values())
    return Found(
        (
            FACTS("oldest_start_timestamp_seconds", oldest, group=name),
            FACTS("newest_start_timestamp_seconds", newest, group=name),
        )
    )


def _files(name: str, read: dict[int, Any]) -> Found:
    worst = max((count / limit for count, limit in read.values() if limit), default=0.0)
    gauges = (
        FACTS("open_files", sum(count for count, _ in read.values()), group=name),
        FACTS("open_files_worst_ratio", worst, group=name),
    )
    return Found(gauges, {"open_files": Of(worst, name)})


def _io(name: str, read: dict[int, Any]) -> Found:
    gauges = (
        FACTS("read_bytes_total", sum(io[0] for io in read.values()), group=name),
        FACTS("written_bytes_total", sum(io[1] for io in read.values()), group=name),
    )
    return Found(gauges)


_TURN: dict[str, Callable[[str, dict[int, Any]], Found]] = {
    "cpu": _sum("cpu_seconds_total"),
    "memory": _sum("resident_memory_bytes", "memory"),
    "threads": _sum("threads", "threads"),
    "start": _starts,
    "files": _files,
    "io": _io,
}
