"""How does one object get from store to store, so that wrong bytes never arrive?

It streams through, hashed on the way. The end of the stream is given out only when the hash is the
manifest's: until then nothing is visible at the other side, and afterwards it is write-once.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sre.backup.catalogue import Damaged
from sre.backup.copying.standing import Wanted
from sre.backup.objects import Storage
from sre.backup.records import Fault
from sre.core.errors import Refused, SreError, Transient, UsageError

__all__ = ["Side", "transfer", "transfer_small"]

_TRIES = 2

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Side:
    """One of the two stores, by the name that sre.yaml gives it."""

    name: str
    storage: Storage

    @contextlib.contextmanager
    def named(self) -> Iterator[None]:
        """Errors of the store say which of the two it was."""
        try:
            yield
        except (Transient, UsageError, Refused) as error:
            if getattr(error, "store", None) is None:
                made: SreError = type(error)(f"{self.name}: {error}")
                made.store = self.name  # type: ignore[attr-defined]
                raise made from error
            raise

    def fault(self, key: str, problem: str) -> Damaged:
        """An object of this store is not what it should be."""
        return Damaged(Fault(f"{self.name}: {key}", problem))

    def get(self, key: str) -> bytes:
        """A small object. Raises KeyError."""
        with self.named():
            return self.storage.get(key)


def transfer(source: Side, target: Side, wanted: Wanted, progress: Progress) -> int:
    """Copy an object unless it is there already; how many bytes were copied.

    What is there already (of a copy that was interrupted) is read back and must have the hash.

    Raises:
        Damaged: the object of the source is missing or changed, or another one stands at the
            target; the fault names store and object.
        Transient, UsageError: a store does not answer or refuses; the message names it.
    """
    with target.named():
        if target.storage.head(wanted.key) is not None:
            for _ in _checked(target, wanted, lambda _count: progress(0)):
                pass
            return 0
        for left in reversed(range(_TRIES)):
            try:
                return target.storage.upload(wanted.key, _checked(source, wanted, progress))
            except (Damaged, Transient) as error:  # perhaps on the way: a second download decides
                if not left or getattr(error, "store", source.name) != source.name:
                    raise
    raise AssertionError("unreachable")


def transfer_small(target: Side, key: str, data: bytes) -> None:
    """Write a small object that has been checked; the same bytes there are success.

    Raises Damaged when other bytes stand there.
    """
    with target.named():
        try:
            target.storage.put(key, data)
        except Refused:
            if target.storage.head(key) is None:
                raise
            raise target.fault(
                key, "other bytes stand there, and nothing is overwritten: look at it, remove it"
            ) from None


def _checked(side: Side, wanted: Wanted, progress: Progress) -> Iterator[bytes]:
    """The bytes of an object; raises Damaged at their end unless they are the ones."""
    hashed, size = hashlib.sha256(), 0
    try:
        with side.named():
            for piece in side.storage.stream(wanted.key):
                hashed.update(piece)
                size += len(piece)
                progress(len(piece))
                yield piece
    except KeyError:
        raise side.fault(wanted.key, "the object is missing") from None
    if size != wanted.bytes:
        raise side.fault(
            wanted.key, f"it has {size} bytes, the manifest says {wanted.bytes}: cut, or swapped"
        )
    if hashed.hexdigest() != wanted.sha256:
        raise side.fault(wanted.key, "its SHA-256 is not the one in the manifest: changed")
