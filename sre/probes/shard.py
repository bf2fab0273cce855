"""Which part of the probes does this machine run, when several share them?

Each probe belongs to exactly one shard, by its name alone: no machine asks another. When the
number of shards changes, as few probes as possible move.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from sre.core.errors import UsageError
from sre.probes.model import Check

__all__ = ["Shard", "parse_shard"]


@dataclass(frozen=True)
class Shard:
    """Shard `index` (from 1) of `count`."""

    index: int = 1
    count: int = 1

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def of(self, checks: Iterable[Check]) -> tuple[Check, ...]:
        """Those that run here. Probes of a journey that places orders stay together."""
        if self.count == 1:
            return tuple(checks)
        return tuple(check for check in checks if _place(_key(check), self.count) == self.index - 1)


def parse_shard(text: str) -> Shard:
    """`2/5` as a shard.

    Raises:
        UsageError: not I/N with I from 1 to N.
    """
    index, slash, count = text.partition("/")
    good = slash and index.isascii() and index.isdecimal() and count.isascii() and count.isdecimal()
    if not good or not 1 <= int(index) <= int(count) <= 1000:
        raise UsageError(f"{text!r} is not a shard; write I/N, from 1/N to N/N, such as 2/5")
    return Shard(int(index), int(count))


def _key(check: Check) -> str:
    """One budget, one shard."""
    return check.journey or check.name if check.orders else check.name


def _place(name: str, count: int) -> int:
    """Jump consistent hash (Lamping and Veach): even, and stable when `count` grows.

    Other bytes of the digest than those that spread starts over an interval.
    """
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[16:24], "big")
    place, following = -1, 0
    while following < count:
        place = following
        key = (key * 2862933555777941757 + 1) % 2**64
        following = int((place + 1) * (2**31 / ((key >> 33) + 1)))
    return place
