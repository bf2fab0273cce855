"""Which numbers does a machine give about itself? One function for each part, in base units."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from sre.core.clock import SystemClock
from sre.probes.model import Gauge

__all__ = ["Found", "collectors"]

_SAMPLE = 0.2
_MAX_DEVICES = 16
_VIRTUAL = ("loop", "ram", "veth", "br-", "dm-", "zram")
_FILE_NR = Path("/proc/sys/fs/file-nr")


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


def _gauge(name: str, value: float, text: str, /, **labels: str) -> Gauge:
    counter = name.endswith("_total")
    return Gauge(f"sre_probe_host_{name}", float(value), text, tuple(labels.items()), counter)


def _cpu() -> Found:
    before = psutil.cpu_times()
    SystemClock().sleep(_SAMPLE)
    after = psutil.cpu_times()
    spent = {mode: getattr(after, mode) - getattr(before, mode) for mode in after._fields}
    for counted_twice in ("guest", "guest_nice"):
        spent.pop(counted_twice, None)
    idle = spent.get("idle", 0.0) + spent.get("iowait", 0.0)
    ratio = min(1.0, max(0.0, 1 - idle / sum(spent.values()))) if sum(spent.values()) else 0.0
    text = "Processor time since the start, all processors together."
    gauges = [_gauge("cpu_seconds_total", getattr(after, mode), text, mode=mode) for mode in spent]
    gauges.append(_gauge("cpu_used_ratio", ratio, "Share of all processors that was busy."))
    gauges.append(_gauge("cpus", psutil.cpu_count() or 1, "Processors."))
    return Found(tuple(gauges), {"cpu": ratio})


def _memory() -> Found:
    ram, swap = psutil.virtual_memory(), psutil.swap_memory()
    ratio = 1 - ram.available / ram.total
    gauges = (
        _gauge("memory_size_bytes", ram.total, "Memory there is."),
        _gauge("memory_available_bytes", ram.available, "Memory that programs can still get."),
        _gauge("memory_used_ratio", ratio, "Share of memory that programs cannot get."),
        _gauge("swap_size_bytes", swap.total, "Swap space there is."),
        _gauge("swap_used_bytes", swap.used, "Swap space in use."),
    )
    return Found(gauges, {"memory": ratio})


def _disk(mount: str) -> Found:
    stat = os.statvfs(mount)
    size, free = stat.f_blocks * stat.f_frsize, stat.f_bavail * stat.f_frsize
    taken = (stat.f_blocks - stat.f_bfree) * stat.f_frsize
    ratio = taken / (taken + free) if taken + free else 0.0
    inodes = 1 - stat.f_favail / stat.f_files if stat.f_files else 0.0
    gauges = (
        _gauge("disk_size_bytes", size, "Size of a file system.", mount=mount),
        _gauge("disk_available_bytes", free, "Space that ordinary users can get.", mount=mount),
        _gauge("disk_used_ratio", ratio, "Share that ordinary users cannot get.", mount=mount),
        _gauge("inodes_used_ratio", inodes, "Share of inodes in use.", mount=mount),
    )
    return Found(gauges, {"disk": max(ratio, inodes)})


def _disk_io() -> Found:
    devices = psutil.disk_io_counters(perdisk=True) or {}
    gauges: list[Gauge] = []
    for device in _physical(devices):
        io = devices[device]
        read, written = "Bytes read from a device.", "Bytes written to a device."
        gauges.append(_gauge("disk_read_bytes_total", io.read_bytes, read, device=device))
        gauges.append(_gauge("disk_written_bytes_total", io.write_bytes, written, device=device))
    return Found(tuple(gauges))


def _network() -> Found:
    devices = psutil.net_io_counters(pernic=True)
    gauges: list[Gauge] = []
    for device in _physical(devices):
        io = devices[device]
        for name, value, text in (
            ("network_receive_bytes_total", io.bytes_recv, "Bytes received."),
            ("network_transmit_bytes_total", io.bytes_sent, "Bytes sent."),
            ("network_errors_total", io.errin + io.errout, "Packets lost to errors."),
            ("network_drops_total", io.dropin + io.dropout, "Packets dropped."),
        ):
            gauges.append(_gauge(name, value, text, device=device))
    return Found(tuple(gauges))


def _fds() -> Found:
    used, _, limit = (int(number) for number in _FILE_NR.read_text(encoding="ascii").split())
    gauges = (
        _gauge("open_files", used, "File descriptors in use on the whole system."),
        _gauge("open_files_limit", limit, "File descriptors that the system allows."),
    )
    return Found(gauges, {"fds": used / limit})


def _system() -> Found:
    text = "Processes that ran or waited to, on average over a window."
    windows = zip(("1m", "5m", "15m"), psutil.getloadavg(), strict=True)
    gauges = [_gauge("load", load, text, window=window) for window, load in windows]
    gauges.append(
        _gauge("boot_timestamp_seconds", psutil.boot_time(), "When the machine was started.")
    )
    return Found(tuple(gauges))


def _processes(wanted: Mapping[str, int]) -> Found:
    running = dict.fromkeys(wanted, 0)
    for process in psutil.process_iter(["name"]):
        if process.info["name"] in running:
            running[process.info["name"]] += 1
    text = "Running processes of a name."
    gauges = tuple(_gauge("processes", count, text, name=name) for name, count in running.items())
    short = tuple(
        f"{running[name]} processes named {name} (at least {least})"
        for name, least in wanted.items()
        if running[name] < least
    )
    return Found(gauges, missing=short)


def _physical(devices: Mapping[str, object]) -> list[str]:
    return [name for name in sorted(devices) if not name.startswith(_VIRTUAL)][:_MAX_DEVICES]
