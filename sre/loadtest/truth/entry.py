"""What does the ledger say about one run of a journey with side effects? (pure)"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from sre.journey.result import JourneyResult, Outcome

__all__ = ["Entry", "Standing", "entry_of"]

_LONGEST = 1000


class Standing(StrEnum):
    """What the shop told the customer in the end."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Entry(NamedTuple):
    """One run.

    Attributes:
        sequence: which run of its journey, from 0.
        at: when it was due, seconds from the start of the load test.
        ambiguous: a request may have had its effect without an answer telling so. An accepted run
            can be that too: sent again without an idempotency key, say.
        key: the idempotency key of its last step that has one.
        values: what it extracted and is no secret: an order number.
    """

    journey: str
    sequence: int
    at: float
    state: Standing
    ambiguous: bool = False
    key: str = ""
    values: Mapping[str, Any] = {}

    def to_plain(self) -> list[Any]:
        """JSON-ready."""
        return [*self[:3], self.state.value, *self[4:]]

    @classmethod
    def from_plain(cls, plain: list[Any]) -> Entry:
        """The reverse of `to_plain`."""
        journey, sequence, at, state, ambiguous, key, values = plain
        own = {sys.intern(name): value for name, value in values.items()}
        return cls(sys.intern(journey), sequence, at, Standing(state), ambiguous, key, own)

    def to_row(self) -> dict[str, Any]:
        """One line of ledger.jsonl."""
        return {
            "journey": self.journey,
            "sequence": self.sequence,
            "key": self.key or None,
            "state": self.state.value,
            "ambiguous": self.ambiguous,
            "at": round(self.at, 3),
            "values": dict(self.values),
        }


def entry_of(journey: str, sequence: int, at: float, result: JourneyResult | None) -> Entry:
    """The entry of a run; one without a result was given up, and nobody knows what came of it."""
    if result is None:
        return Entry(journey, sequence, at, Standing.UNKNOWN, ambiguous=True)
    values = {name: value for name, value in result.values.items() if _fits(value)}
    return Entry(journey, sequence, at, _standing(result), result.ambiguous, result.key, values)


def _standing(result: JourneyResult) -> Standing:
    if result.outcome.good:
        return Standing.ACCEPTED
    if result.ambiguous:
        return Standing.UNKNOWN
    return Standing.REFUSED if result.outcome is Outcome.REFUSED else Standing.FAILED


def _fits(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST
    return isinstance(value, bool | int | float)
