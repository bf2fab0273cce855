"""What does a probe find in a network of its own, whose machines answer pings in strange ways?

Run as a program inside `unshare -Urn`: `python -m tests.servers.pingable ARGUMENTS`. A TUN device
holds 10.9.0.0/24; how a machine behaves is told by the last number of its address.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from sre.core.clock import Deadline, SystemClock
from sre.journey.guard import Guard
from sre.journey.shop import Shop
from sre.probes.kinds.icmp import IcmpProbe
from sre.probes.model import ProbeContext

__all__ = ["ANSWERS", "DELAYED", "EXCEEDED", "HALF", "SILENT", "STRANGE", "UNREACHABLE"]

ANSWERS, SILENT, HALF, UNREACHABLE, EXCEEDED, STRANGE, DELAYED = (
    f"10.9.0.{number}" for number in (2, 3, 4, 5, 6, 7, 8)
)
DELAY = 0.05


def _sum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data + b"\0" * (len(data) % 2)))
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


def _icmp(kind: int, code: int, rest: bytes) -> bytes:
    padded = rest + b"\0" * (len(rest) % 2)
    return struct.pack("!BBH", kind, code, _sum(bytes([kind, code, 0, 0]) + padded)) + rest


def _packet(source: bytes, target: bytes, payload: bytes, hops: int = 61) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0, hops, 1, 0) + source + target
    return head[:10] + struct.pack("!H", _sum(head)) + head[12:] + payload


def _answers(packet: bytes) -> Iterator[bytes]:
    """What comes back for one echo request."""
    source, target, echo = packet[12:16], packet[16:20], packet[20:]
    machine, sequence = f"10.9.0.{target[3]}", int.from_bytes(echo[6:8], "big")
    router = bytes([10, 9, 0, 254])
    good = _packet(target, source, _icmp(0, 0, echo[4:]))
    if machine == UNREACHABLE:
        yield _packet(router, source, _icmp(3, 1, b"\0" * 4 + packet[:28]))
    elif machine == EXCEEDED:
        yield _packet(router, source, _icmp(11, 0, b"\0" * 4 + packet[:28]))
    elif machine == STRANGE:
        other = bytes([echo[4] ^ 0xFF]) + echo[5:]
        yield _packet(target, source, _icmp(0, 0, other))  # another program's
        yield _packet(target, source, _icmp(0, 0, echo[4:8] + b"x" * len(echo[8:])))
        yield _packet(target, source, _icmp(0, 0, b"\0"))
        yield _packet(router, source, _icmp(0, 0, echo[4:]))  # from somebody else
    elif machine != SILENT and not (machine == HALF and sequence % 2):
        if machine == DELAYED:
            time.sleep(DELAY)
        yield from (good, good)  # twice: some networks do that


def _serve(device: int) -> None:
    with contextlib.suppress(OSError):
        while True:
            packet = os.read(device, 65535)
            if packet[0] >> 4 == 4 and packet[9] == 1 and packet[20] == 8:
                for answer in _answers(packet):
                    os.write(device, answer)


def _network() -> None:
    device = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(device, 0x400454CA, struct.pack("16sH", b"pings", 0x1001))
    for words in (
        ["link", "set", "lo", "up"],
        ["addr", "add", "10.9.0.1/24", "dev", "pings"],
        ["link", "set", "pings", "mtu", "1500", "up"],
    ):
        subprocess.run(["ip", *words], check=True)
    threading.Thread(target=_serve, args=(device,), daemon=True).start()


def main() -> None:
    """Arguments as JSON: groups that may ping (empty: none), seconds, the fields of the probe."""
    groups, seconds, keys = json.loads(sys.argv[1])
    _network()
    if groups:
        Path("/proc/sys/net/ipv4/ping_group_range").write_text(groups, encoding="ascii")
    guard, shop = Guard([f"{keys['host']}:*"]), Shop("t", "http://127.0.0.1:1")
    context = ProbeContext(Deadline.after(seconds), guard, shop, SystemClock())
    began = time.monotonic()
    found = IcmpProbe(**keys).check(context)
    took = time.monotonic() - began
    gauges = {gauge.name.removeprefix("sre_probe_icmp_"): gauge.value for gauge in found.gauges}
    print(json.dumps([found.outcome, found.reason, found.message, gauges, took]))


if __name__ == "__main__":
    main()
