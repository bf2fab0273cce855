"""What does retention need of a store: its clock, object locks, half uploads?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol, Self

from sre.core.errors import Refused

__all__ = ["Guarded", "LockState", "Mode", "ObjectLock", "Pending", "Upkeep"]

Mode = Literal["COMPLIANCE", "GOVERNANCE"]


@dataclass(frozen=True)
class ObjectLock:
    """What is written with it cannot be removed before `until` (Unix seconds)."""

    mode: Mode
    until: float


@dataclass(frozen=True)
class LockState:
    """What the store says about the lock of an object; no lock at all is the default."""

    until: float | None = None
    mode: str | None = None
    legal_hold: bool = False

    def protects(self, now: float) -> bool:
        """Whether the store would refuse to remove it."""
        return self.legal_hold or (self.until is not None and self.until > now)


@dataclass(frozen=True)
class Pending:
    """An upload that has begun and not ended. `began` is the store's clock, Unix seconds."""

    key: str
    id: str
    began: float
    size: int


class Guarded(Refused):
    """An object lock or a legal hold keeps the object; it is untouched."""


class Upkeep(Protocol):
    """The part of `Storage` that retention alone uses. Raises as `Storage` does."""

    def time(self) -> float | None:
        """The store's own clock, Unix seconds; None when it has none but this machine's."""
        ...

    def pending(self, prefix: str) -> Iterator[Pending]:
        """Every upload to a key below `prefix` that nobody finished or abandoned, all pages."""
        ...

    def abandon(self, upload: Pending) -> None:
        """Forget such an upload and free its bytes; one that is gone is success."""
        ...

    def locking(self, lock: ObjectLock) -> Self:
        """The same store, where everything written gets this lock. Raises Refused without locks."""
        ...

    def lock_of(self, key: str) -> LockState:
        """The lock of an object; none where nothing stands or the store has no locks."""
        ...

    def extend_lock(self, key: str, lock: ObjectLock) -> None:
        """Lock an object until later. Raises Refused without locks, KeyError without the object."""
        ...
