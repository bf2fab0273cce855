"""What is a place for objects, and what must a kind of `stores:` do?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from sre.backup.upkeep import Upkeep
from sre.core.errors import Refused

__all__ = ["Cell", "Changed", "Hashed", "ObjectInfo", "Storage", "Store"]


@dataclass(frozen=True)
class ObjectInfo:
    """An object of a store: its key below the store's prefix, its size, and when it was stored."""

    key: str
    size: int
    modified: float | None = field(default=None, compare=False)
    """By the store's clock, Unix seconds."""


@runtime_checkable
class Hashed(Protocol):
    """Pieces of an object, of which somebody takes the hash anyway."""

    def __iter__(self) -> Iterator[bytes]: ...

    def digest(self) -> bytes:
        """SHA-256 of everything that was given out, once it has ended."""
        ...


@dataclass(frozen=True)
class Cell:
    """A small object that may be replaced: what it holds, and when, by the store's own clock.

    Attributes:
        data: None when nothing is there.
        version: what `swap` compares; empty when nothing is there.
        at: Unix seconds on the store's clock, perhaps rounded down to a second.
    """

    key: str
    data: bytes | None
    version: str
    at: float


class Changed(Refused):
    """Somebody else replaced a cell first; nothing was written."""


class Storage(Upkeep, Protocol):
    """A place for objects that are written once. Safe to use from several threads.

    All methods may raise Transient (not reachable, throttled, full: retries are spent, in bounded
    time) and UsageError (wrong credentials, no such bucket). Keys are relative, with `/`.
    """

    def put(self, key: str, data: bytes) -> None:
        """Store a small object in one step, durable on return, and only if `key` is free.

        Idempotent: the same bytes there already are success (an answer may have been lost).
        Raises Refused when other bytes stand there.
        """
        ...

    def upload(self, key: str, chunks: Iterable[bytes]) -> int:
        """Store a large object from a stream; as `put`, and how many bytes it has.

        Nothing is visible before the stream has ended; when iterating raises, nothing ever is and
        the exception passes through. The size is asked back from the store before it returns.
        Chunks that are `Hashed` need not be hashed once more.
        """
        ...

    def head(self, key: str) -> ObjectInfo | None:
        """What stands there; None when nothing does."""
        ...

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """The bytes of an object, or of a range of it. Raises KeyError when there is none."""
        ...

    def stream(self, key: str) -> Iterator[bytes]:
        """The bytes of an object in pieces of at most 1 MiB. Raises KeyError when there is none."""
        ...

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Everything whose key begins with `prefix`, in no promised order, all pages of it."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object with all its versions, durably; nothing there is success.

        Only retention and tests call it. Raises Guarded when a lock keeps it.
        """
        ...

    def cell(self, key: str) -> Cell:
        """A lease, say, with the store's time; never from a cache."""
        ...

    def swap(self, key: str, data: bytes, version: str) -> Cell:
        """Replace a cell in one step if it still is that version (empty: nothing there).

        Idempotent: the same bytes there already are success. Raises Changed.
        """
        ...

    def conditional(self, key: str) -> bool:
        """Whether the store keeps `swap`'s promise; asked with `key`'s own bytes, changes nothing.

        Raises KeyError when nothing is there.
        """
        ...


class Store(Protocol):
    """A kind of `stores:`; its fields are its configuration."""

    def open(self) -> Storage:
        """The place itself. Contacts nothing yet; raises MissingExtra."""
        ...
