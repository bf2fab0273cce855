"""Is the kernel's word on an arrival taken where it makes sense, and only there?"""

from __future__ import annotations

import socket
import struct
import sys
import threading
import time

import pytest

from sre.probes.arrival import SPACE, Start, stamped

NOTE = (socket.SOL_SOCKET, 35)


def note(nanoseconds: int) -> tuple[int, int, bytes]:
    return (*NOTE, struct.pack("@qq", *divmod(nanoseconds, 10**9)))


def test_a_clock_that_was_set_meanwhile_is_not_believed() -> None:
    start = Start()
    time.sleep(0.01)
    for far in (-3600, 3600):
        assert 0.01 <= start.seconds([note(start.wall + far * 10**9)]) < 1
    assert 0.01 <= start.seconds([]) < 1
    assert 0.01 <= start.seconds([(*NOTE, b"short"), (1, 2, b"other")]) < 1
    assert start.seconds([note(start.wall + 5_000_000)]) == pytest.approx(0.005)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux notes arrivals")
def test_reading_late_does_not_make_a_packet_late() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there,
    ):
        here.bind(("127.0.0.1", 0))
        stamped(here)
        start = Start()
        timer = threading.Timer(0.02, there.sendto, (b"x", here.getsockname()))
        timer.start()
        time.sleep(0.2)
        _, ancillary, _, _ = here.recvmsg(10, SPACE)
        timer.join()
        assert 0.02 <= start.seconds(ancillary) < 0.15
