"""Under which name does the shop's own tracing know one customer of a load test? (pure)

W3C Trace Context: every request carries `traceparent: 00-TRACE-SPAN-01`. The trace is derived from
the run, the journey and the number of the customer, so that a report can name it without having
been told; the shop's tracing shows what became of exactly that customer.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["KEPT", "Exemplar", "Exemplars", "trace_of"]

KEPT = 5
"""Exemplars of each step: that many slow ones, that many that failed."""


def trace_of(run_id: str, journey: str, sequence: int) -> str:
    """The trace of one customer: 32 hexadecimal digits."""
    name = f"{run_id}/{journey}/{sequence}".encode()
    return hashlib.blake2b(name, digest_size=16).hexdigest()


@dataclass(frozen=True, order=True, slots=True)
class Exemplar:
    """One step of one customer, worth looking at.

    Attributes:
        response: seconds.
        at: when the customer was due, in seconds from the start.
        reason: why it failed; empty when it did not.
    """

    response: float
    at: float
    trace: str
    reason: str = ""


class Exemplars:
    """The slowest few of each step, and of each step's failures."""

    __slots__ = ("_kept",)

    def __init__(self, plain: Iterable[tuple[str, str, str, float, float, str]] = ()) -> None:
        self._kept: dict[tuple[str, str, bool], list[Exemplar]] = {}
        for journey, step, reason, response, at, trace in plain:
            self._push((journey, step, bool(reason)), Exemplar(response, at, trace, reason))

    def wants(self, journey: str, step: str, response: float, *, failed: bool) -> bool:
        """Whether one that took `response` would be kept; cheap, asked for every step."""
        kept = self._kept.get((journey, step, failed))
        return kept is None or len(kept) < KEPT or response > kept[0].response

    def keep(self, journey: str, step: str, exemplar: Exemplar) -> None:
        """Keep it, and drop the fastest when there are too many."""
        self._push((journey, step, bool(exemplar.reason)), exemplar)

    def of(self, journey: str, steps: Iterable[str], *, failed: bool) -> tuple[Exemplar, ...]:
        """Those of some steps of a journey, the slowest first."""
        found = [one for step in steps for one in self._kept.get((journey, step, failed), ())]
        return tuple(sorted(found, reverse=True)[:KEPT])

    def merge(self, other: Exemplars) -> None:
        """Take all of `other` in."""
        for key, kept in other._kept.items():
            for exemplar in kept:
                self._push(key, exemplar)

    def to_plain(self) -> list[tuple[str, str, str, float, float, str]]:
        """JSON-ready; the constructor reads it back."""
        return [
            (journey, step, one.reason, one.response, one.at, one.trace)
            for (journey, step, _), kept in self._kept.items()
            for one in kept
        ]

    def _push(self, key: tuple[str, str, bool], exemplar: Exemplar) -> None:
        kept = self._kept.setdefault(key, [])
        if len(kept) < KEPT:
            heapq.heappush(kept, exemplar)
        elif exemplar > kept[0]:
            heapq.heapreplace(kept, exemplar)
