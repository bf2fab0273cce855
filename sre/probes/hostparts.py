"""Which numbers does a machine give about itself? One function for each part, in base units."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from sre.core.clock import SystemClock
from sre.probes.facts import Facts
from sre.probes.model import Gauge

__all__ = ["FACTS", "Found", "collectors"]

_SAMPLE = 0.2
_MAX_DEVICES = 16
_VIRTUAL = ("loop", "ram", "veth", "br-", "dm-", "zram")
_FILE_NR = Path("/proc/sys/fs/file-nr")

FACTS = Facts(
    "host",
    ("collector_success", "Whether a part of the host could be measured in time.", "collector"),
    ("cpu_seconds_total", "Processor time since the start, all processors together.", "mode"),
    ("cpu_used_ratio", "Share of all processors that was busy."),
    ("cpus", "Processors."),
    ("memory_size_bytes", "Memory there is."),
    ("memory_available_bytes", "Memory that programs can still get."),
    ("memory_used_ratio", "Share of memory that programs cannot get."),
    ("swap_size_bytes", "Swap space there is."),
    ("swap_used_bytes", "Swap space in use."),
    ("disk_size_bytes", "Size of a file system.", "mount"),
    ("disk_available_bytes", "Space that ordinary users can get.", "mount"),
    ("disk_used_ratio", "Share that ordinary users cannot get.", "mount"),
    ("inodes_used_ratio", "Share of inodes in use.", "mount"),
    ("disk_read_bytes_total", "Bytes read from a device.", "device"),
    ("disk_written_bytes_total", "Bytes written to a device.", "device"),
    ("network_receive_bytes_total", "Bytes received.", "device"),
    ("network_transmit_bytes_total", "Bytes sent.", "device"),
    ("network_errors_total", "Packets lost to errors.", "device"),
    ("network_drops_total", "Packets dropped.", "device"),
    ("open_files", "File descriptors in use on the whole system."),
    ("open_files_limit", "File descriptors that the system allows."),
    ("load", "Processes that ran or waited to, on average over a window.", "window"),
    ("boot_timestamp_seconds", "When the machine was started."),
    ("processes", "Running processes of a name.", "name"),
)
"""What a machine tells."""


@dataclass(frozen=True)
class Found:
    """What one part told.

    Attributes:
        used: shares of 1 that limits are about.
        missing: what should be there and is not, for people.
    """

    gauges: tuple[Gauge, ...]
    used: Mapping[str, float] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


def collectors(
    mounts: Sequence[str], processes: Mapping[str, int]
) -> dict[str, Callable[[], Found]]:
    """Every part by its name; each mount is one of its own, so that a dead one is alone."""
    parts: dict[str, Callable[[], Found]] = {
        "cpu": _cpu,
        "memory": _memory,
        "disk_io": _disk_io,
        "network": _network,
        "system": _system,
    }
    if _FILE_NR.exists():
        parts["fds"] = _fds
    if processes:
        parts["processes"] = functools.partial(_processes, processes)
    return parts | {f"disk {mount}": functools.partial(_disk, mount) for mount in mounts}


def _cpu() -> Found:
    before = psutil.cpu_times()
    SystemClock().sleep(_SAMPLE)
    after = psutil.cpu_times()
    spent = {mode: getattr(after, mode) - getattr(before, mode) for mode in after._fields}
    for counted_twice in ("guest", "guest_nice"):
        spent.pop(counted_twice, None)
    idle = spent.get("idle", 0.0) + spent.get("iowait", 0.0)
    ratio = min(1.0, max(0.0, 1 - idle / sum(spent.values()))) if sum(spent.values()) else 0.0
    gauges = [FACTS("cpu_seconds_total", getattr(after, mode), mode=mode) for mode in spent]
    gauges.append(FACTS("cpu_used_ratio", ratio))
    gauges.append(FACTS("cpus", psutil.cpu_count() or 1))
    return Found(tuple(gauges), {"cpu": ratio})


def _memory() -> Found:
    ram, swap = psutil.virtual_memory(), psutil.swap_memory()
    ratio = 1 - ram.available / ram.total
    gauges = (
        FACTS("memory_size_bytes", ram.total),
        FACTS("memory_available_bytes", ram.available),
        FACTS("memory_used_ratio", ratio),
        FACTS("swap_size_bytes", swap.total),
        FACTS("swap_used_bytes", swap.used),
    )
    return Found(gauges, {"memory": ratio})


def _disk(mount: str) -> Found:
    stat = os.statvfs(mount)
    size, free = stat.f_blocks * stat.f_frsize, stat.f_bavail * stat.f_frsize
    taken = (stat.f_blocks - stat.f_bfree) * stat.f_frsize
    ratio = taken / (taken + free) if taken + free else 0.0
    inodes = 1 - stat.f_favail / stat.f_files if stat.f_files else 0.0
    gauges = (
        FACTS("disk_size_bytes", size, mount=mount),
        FACTS("disk_available_bytes", free, mount=mount),
        FACTS("disk_used_ratio", ratio, mount=mount),
        FACTS("inodes_used_ratio", inodes, mount=mount),
    )
    return Found(gauges, {"disk": max(ratio, inodes)})


def _disk_io() -> Found:
    devices = psutil.disk_io_counters(perdisk=True) or {}
    gauges: list[Gauge] = []
    for device in _physical(devices):
        io = devices[device]
        gauges.append(FACTS("disk_read_bytes_total", io.read_bytes, device=device))
        gauges.append(FACTS("disk_written_bytes_total", io.write_bytes, device=device))
    return Found(tuple(gauges))


def _network() -> Found:
    devices = psutil.net_io_counters(pernic=True)
    gauges: list[Gauge] = []
    for device in _physical(devices):
        io = devices[device]
        for name, value in (
            ("network_receive_bytes_total", io.bytes_recv),
            ("network_transmit_bytes_total", io.bytes_sent),
            ("network_errors_total", io.errin + io.errout),
            ("network_drops_total", io.dropin + io.dropout),
        ):
            gauges.append(FACTS(name, value, device=device))
    return Found(tuple(gauges))


def _fds() -> Found:
    used, _, limit = (int(number) for number in _FILE_NR.read_text(encoding="ascii").split())
    gauges = (
        FACTS("open_files", used),
        FACTS("open_files_limit", limit),
    )
    return Found(gauges, {"fds": used / limit})


def _system() -> Found:
    windows = zip(("1m", "5m", "15m"), psutil.getloadavg(), strict=True)
    gauges = [FACTS("load", load, window=window) for window, load in windows]
    gauges.append(FACTS("boot_timestamp_seconds", psutil.boot_time()))
    return Found(tuple(gauges))


def _processes(wanted: Mapping[str, int]) -> Found:
    running = dict.fromkeys(wanted, 0)
    for process in psutil.process_iter(["name"]):
        if process.info["name"] in running:
            running[process.info["name"]] += 1
    gauges = tuple(FACTS("processes", count, name=name) for name, count in running.items())
    short = tuple(
        f"{running[name]} processes named {name} (at least {least})"
        for name, least in wanted.items()
        if running[name] < least
    )
    return Found(gauges, missing=short)


def _physical(devices: Mapping[str, object]) -> list[str]:
    return [name for name in sorted(devices) if not name.startswith(_VIRTUAL)][:_MAX_DEVICES]
