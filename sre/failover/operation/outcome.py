"""How did an operation end? Every end has one true word, and its exit code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sre.failover.engine import Decision, Reason

__all__ = ["EXIT_CODES", "Outcome", "Result"]

Outcome = Literal["ok", "rolled_back", "incomplete", "unknown", "refused", "abandoned"]
"""ok: done and looked at. rolled_back: it failed, everything is as it was. incomplete: past the
point of no return, or not all could be taken back; the reasons say what is left. unknown: a step
got no answer, look before you act. refused: nothing was touched. abandoned: somebody gave it up."""

EXIT_CODES: Mapping[str, int] = {
    "ok": 0, "rolled_back": 1, "refused": 5, "incomplete": 8, "unknown": 8, "abandoned": 0,
}  # fmt: skip


@dataclass(frozen=True)
class Result:
    """The end of an operation.

    Attributes:
        id: of the operation; empty when none began.
        phases: phase -> seconds by a monotonic clock; `total` among them.
        noted: step id -> what it noted.
    """

    outcome: Outcome
    decision: Decision
    reasons: tuple[Reason, ...] = ()
    phases: Mapping[str, float] = field(default_factory=dict)
    id: str = ""
    noted: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0 good, 1 rolled back, 5 refused, 8 look before you act."""
        return EXIT_CODES[self.outcome]
