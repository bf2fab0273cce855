"""What did somebody else than the thresholds find out about a run? (pure)

Invariants of the shop's database, the comparison with earlier runs: each looks at a run in its own
way and says what it found in this one form, so that verdict and reports need not know them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from sre.loadtest.judge.validity import Cause, Doubt

__all__ = ["Finding", "Kind", "State"]

Kind = Literal["invariant", "regression", "server"]


class State(StrEnum):
    """What one threshold, or one finding, says."""

    KEPT = "kept"
    BROKEN = "broken"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: how people call it; unique among its kind in a run.
        state: kept, broken, or unknown (nobody could tell: the run is invalid).
        value, expected: what was found and what was wanted, in words for people.
        problem: why it is broken or unknown, and what to do; empty when kept.
        is_latency: a late generator makes it worthless (comparisons of latencies).
        informational: shown, never judged.
        data: more of it for programs, JSON-ready.
    """

    kind: Kind
    name: str
    state: State
    value: str
    expected: str
    problem: str = ""
    is_latency: bool = False
    informational: bool = False
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """What is wrong, in one line."""
        return f"{self.kind} {self.name}: {self.problem or self.value}"

    @property
    def doubt(self) -> Doubt:
        """Why the run cannot be trusted when nobody could tell."""
        cause = Cause.INVARIANT_UNKNOWN if self.kind == "invariant" else Cause.NOT_COMPARABLE
        return Doubt(cause, self.words)
