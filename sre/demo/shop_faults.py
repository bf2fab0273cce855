"""Which faults are switched on, in every worker at once?"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import threading
from pathlib import Path

__all__ = ["FAULTS", "Faults"]

FAULTS = ("latency", "errors", "slow-db", "oversell", "payment")
_COUNTER = struct.Struct("<Q")
_COUNTER_AT = 8
_SIZE = _COUNTER_AT + _COUNTER.size


class Faults:
    """One byte for each fault in a file that all workers map: a change needs no message.

    Args:
        path: made when missing; a restarted worker finds the switches as they were.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if os.fstat(self._descriptor).st_size < _SIZE:
            os.ftruncate(self._descriptor, _SIZE)
        self._map = mmap.mmap(self._descriptor, _SIZE)
        self._lock = threading.Lock()

    def on(self, name: str) -> bool:
        """Is this fault switched on?"""
        return self._map[FAULTS.index(name)] == 1

    def switch(self, name: str, on: bool) -> None:
        """Switch a fault; raises ValueError for an unknown name."""
        place = FAULTS.index(name)
        if name == "errors":
            _COUNTER.pack_into(self._map, _COUNTER_AT, 0)
        self._map[place] = int(on)

    def state(self) -> dict[str, bool]:
        """All faults."""
        return {name: self.on(name) for name in FAULTS}

    def every_third(self) -> bool:
        """True for each third call, counted over all workers: tests can rely on it."""
        with self._lock:  # flock does not part threads that share a descriptor
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            try:
                count = _COUNTER.unpack_from(self._map, _COUNTER_AT)[0] + 1
                _COUNTER.pack_into(self._map, _COUNTER_AT, count)
            finally:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        return bool(count % 3 == 0)

    def close(self) -> None:
        """Let the file go."""
        self._map.close()
        os.close(self._descriptor)
