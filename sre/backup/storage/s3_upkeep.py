"""How does a bucket offer what retention needs? (the wiring; see s3_care)"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, Self

from sre.backup.storage import s3_care
from sre.backup.storage.s3_errors import asking
from sre.backup.upkeep import LockState, ObjectLock, Pending

__all__ = ["S3Upkeep"]


class S3Upkeep:
    """The half of `S3Storage` that deletes and locks."""

    bucket: str
    prefix: str
    client: Any
    lock: ObjectLock | None = None
    """What everything written gets."""
    versioned: bool | None = None
    """Whether the bucket keeps versions; asked once."""

    def at(self, key: str) -> dict[str, str]:
        """Where an object is, for a request."""
        return {"Bucket": self.bucket, "Key": self.prefix + key}

    @asking
    def delete(self, key: str) -> None:
        s3_care.remove(self, key)

    @asking
    def time(self) -> float | None:
        return s3_care.server_time(self)

    @asking
    def pending(self, prefix: str) -> Iterator[Pending]:
        return iter(s3_care.unfinished(self, prefix))

    @asking
    def abandon(self, upload: Pending) -> None:
        s3_care.abandon(self, upload)

    @asking
    def locking(self, lock: ObjectLock) -> Self:
        s3_care.must_lock(self)
        made = copy.copy(self)
        made.lock = lock
        return made

    def lock_of(self, key: str) -> LockState:
        try:
            return self._lock_of(key)
        except KeyError:
            return LockState()

    @asking
    def _lock_of(self, key: str) -> LockState:
        return s3_care.lock_state(self.client.head_object(**self.at(key)))

    @asking
    def extend_lock(self, key: str, lock: ObjectLock) -> None:
        s3_care.extend(self, key, lock)
