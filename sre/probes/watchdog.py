"""How is a driver that knows no deadline, or one for each read alone, held to ours?"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["Watchdog", "watched"]


@dataclass
class Watchdog:
    """Whether the connection was cut because the time was up."""

    bit: bool = False


@contextmanager
def watched(descriptor: int, seconds: float) -> Iterator[Watchdog]:
    """Cut the connection of `descriptor` unless the block ends within `seconds`.

    The driver then sees an end of file, whatever it waits for: a handshake, a byte a second, an
    answer. It closes its own descriptor; this holds a copy, so that no number is reused meanwhile.
    """
    dog = Watchdog()
    copy = socket.socket(fileno=os.dup(descriptor))

    def bite() -> None:
        dog.bit = True
        with contextlib.suppress(OSError):
            copy.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(0.0, seconds), bite)
    timer.daemon = True
    timer.start()
    try:
        yield dog
    finally:
        timer.cancel()
        timer.join()
        copy.close()
