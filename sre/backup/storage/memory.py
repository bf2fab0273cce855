"""What does a store do, at its plainest? For tests; passes the same contract suite."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator

from sre.backup.model import ObjectInfo
from sre.core.errors import Refused

__all__ = ["MemoryStorage"]

_PIECE = 2**20


class MemoryStorage:
    """A `Storage` in a dictionary; nothing outlives the process."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self._writing = threading.Lock()

    def put(self, key: str, data: bytes) -> None:
        with self._writing:
            if self.objects.setdefault(key, bytes(data)) != data:
                raise Refused(f"{key} exists already with other content; nothing is overwritten")

    def upload(self, key: str, chunks: Iterable[bytes]) -> int:
        data = b"".join(chunks)
        self.put(key, data)
        return len(data)

    def head(self, key: str) -> ObjectInfo | None:
        data = self.objects.get(key)
        return None if data is None else ObjectInfo(key, len(data))

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        data = self.objects[key]
        return data[start : len(data) if length is None else start + length]

    def stream(self, key: str) -> Iterator[bytes]:
        data = self.objects[key]
        return (data[at : at + _PIECE] for at in range(0, len(data), _PIECE))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        found = {key: len(data) for key, data in self.objects.items() if key.startswith(prefix)}
        return (ObjectInfo(key, size) for key, size in found.items())

    def delete(self, key: str) -> None:
        self.objects.pop(key, None)
