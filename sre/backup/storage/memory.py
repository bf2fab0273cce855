"""What does a store do, at its plainest? For tests; passes the same contract suite."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator
from typing import Self

from sre.backup.fence import may_write
from sre.backup.objects import Cell, Changed, ObjectInfo
from sre.backup.upkeep import Guarded, LockState, ObjectLock, Pending
from sre.core.clock import Clock, SystemClock
from sre.core.errors import Refused

__all__ = ["MemoryStorage"]

_PIECE = 2**20


class MemoryStorage:
    """A `Storage` in a dictionary; nothing outlives the process.

    `clock` is the store's own clock, `locks` what object locks protect; both for tests.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self.objects: dict[str, bytes] = {}
        self.stored: dict[str, float] = {}
        self.locks: dict[str, LockState] = {}
        self.unfinished: dict[str, Pending] = {}
        self._writing = threading.Lock()

    def put(self, key: str, data: bytes) -> None:
        with self._writing:
            may_write()
            if self.objects.setdefault(key, bytes(data)) != data:
                raise Refused(f"{key} exists already with other content; nothing is overwritten")
            self.stored.setdefault(key, self.clock.wall())

    def upload(self, key: str, chunks: Iterable[bytes]) -> int:
        data = b"".join(chunks)
        self.put(key, data)
        return len(data)

    def head(self, key: str) -> ObjectInfo | None:
        data = self.objects.get(key)
        return None if data is None else ObjectInfo(key, len(data), self.stored.get(key))

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        data = self.objects[key]
        return data[start : len(data) if length is None else start + length]

    def stream(self, key: str) -> Iterator[bytes]:
        data = self.objects[key]
        return (data[at : at + _PIECE] for at in range(0, len(data), _PIECE))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        found = {key: len(data) for key, data in self.objects.items() if key.startswith(prefix)}
        return (ObjectInfo(key, size, self.stored.get(key)) for key, size in found.items())

    def delete(self, key: str) -> None:
        may_write()
        if self.lock_of(key).protects(self.clock.wall()):
            raise Guarded(f"a lock keeps {key}")
        self.objects.pop(key, None)
        self.stored.pop(key, None)

    def time(self) -> float | None:
        return self.clock.wall()

    def pending(self, prefix: str) -> Iterator[Pending]:
        return (each for each in list(self.unfinished.values()) if each.key.startswith(prefix))

    def abandon(self, upload: Pending) -> None:
        self.unfinished.pop(upload.id, None)

    def locking(self, lock: ObjectLock) -> Self:
        raise Refused(f"the store is memory and cannot lock objects ({lock.mode})")

    def lock_of(self, key: str) -> LockState:
        return self.locks.get(key, LockState())

    def extend_lock(self, key: str, lock: ObjectLock) -> None:
        raise Refused(f"the store is memory and cannot lock {key} ({lock.mode})")

    def cell(self, key: str) -> Cell:
        data = self.objects.get(key)
        return Cell(key, data, _version(data), self.clock.wall())

    def swap(self, key: str, data: bytes, version: str) -> Cell:
        with self._writing:
            may_write()
            found = self.objects.get(key)
            if _version(found) != version and found != data:
                raise Changed(f"{key} was changed by somebody else meanwhile")
            self.objects[key] = bytes(data)
            self.stored[key] = self.clock.wall()
            return Cell(key, data, _version(data), self.clock.wall())

    def conditional(self, key: str) -> bool:
        if key not in self.objects:
            raise KeyError(key)
        return True


def _version(data: bytes | None) -> str:
    return "" if data is None else hashlib.sha256(data).hexdigest()
