"""When did a packet arrive? The kernel's word, so that a busy process of ours delays nothing."""

from __future__ import annotations

import socket
import struct
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["SPACE", "Start", "stamped"]

_LINUX = sys.platform == "linux"
_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("@qq")
SPACE = 256
"""Bytes that `recvmsg` should keep for what the kernel says beside a packet."""

Ancillary = Sequence[tuple[int, int, bytes]]


def stamped(plug: socket.socket) -> None:
    """Ask the kernel to note each packet's arrival, where it can."""
    if _LINUX:
        plug.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)


@dataclass(frozen=True, slots=True)
class Start:
    """The moment before something was sent, on both clocks."""

    wall: int = field(default_factory=time.time_ns)
    steady: float = field(default_factory=time.perf_counter)

    def seconds(self, ancillary: Ancillary) -> float:
        """From then to the packet's arrival, or to now if the kernel's word makes no sense.

        The kernel's clock is the wall's, which may be set meanwhile.
        """
        until_now = time.perf_counter() - self.steady
        for level, kind, data in ancillary:
            ours = (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS)
            if ours and len(data) >= _TIMESPEC.size:
                whole, rest = _TIMESPEC.unpack_from(data)
                told = (whole * 10**9 + rest - self.wall) / 1e9
                if 0 <= told <= until_now:
                    return float(told)
        return until_now
