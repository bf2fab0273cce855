"""What do the tests of HAProxy as a switch of traffic share?"""

from __future__ import annotations

import contextlib
import socket

from sre.core.clock import Deadline
from sre.failover.traffic.haproxy import HaproxyTraffic
from tests.servers.trafficway import Front

__all__ = ["hung_up", "soon", "switch"]


def soon(seconds: float = 10.0) -> Deadline:
    return Deadline.after(seconds)


def switch(front: Front, **more: object) -> HaproxyTraffic:
    made = {"config": str(front.config), "master": front.master, **more}
    return HaproxyTraffic(socket=front.socket, backend="pg", **made)  # type: ignore[arg-type]


def hung_up(raw: socket.socket) -> bool:
    raw.settimeout(5)
    with contextlib.suppress(ConnectionError):
        return raw.recv(10) == b""
    return True
