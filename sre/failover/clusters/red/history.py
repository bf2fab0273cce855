"""Has one Redis everything that another one had, and is a write that was waited for still there?

A history is a replication id; an offset counts its bytes. A promoted replica begins a history of
its own and keeps the old one as `replid2`, up to `second`. (pure)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["History", "contains", "enough", "history_of"]


@dataclass(frozen=True)
class History:
    """Where a server stands.

    Attributes:
        replid: its history; offset: its last byte of it.
        replid2: the history that it went on from; second: the first byte that is its own.
    """

    replid: str
    offset: int
    replid2: str = ""
    second: int = -1


def history_of(more: Mapping[str, object], offset: int | None) -> History:
    """Of what a look kept."""
    return History(str(more["replid"]), offset or 0, str(more["replid2"]), int(str(more["second"])))


def contains(new: History, replid: str, offset: int) -> bool:
    """Whether `new` has the first `offset` bytes of a history."""
    if new.replid == replid:
        return new.offset >= offset
    return new.replid2 == replid and new.second - 1 >= offset


def enough(whole: Sequence[str], replicas: int, wait: int) -> bool:
    """Whether every write that `wait` of `replicas` had acknowledged is on one of `whole`.

    `whole` are those that answer, of the primary's history, and have not been restarted since they
    last heard it. Each has all that came before its offset, so that the furthest one has it.
    """
    return wait > 0 and len(whole) >= max(1, replicas - wait + 1)
