"""What has a verification found so far, and how long did each phase take?"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from sre.backup.records import Fault, Replay
from sre.backup.restoring.phases import Phases
from sre.core.clock import Clock
from sre.sql.model import InvariantResult

__all__ = ["Findings"]


@dataclass
class Findings:
    """Filled while the levels are gone through."""

    clock: Clock
    faults: list[Fault] = field(default_factory=list)
    failures: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    phases: dict[str, float] = field(default_factory=dict)
    invariants: tuple[InvariantResult, ...] = ()
    replay: Replay | None = None
    sampled: bool = False

    def phase(self, name: str) -> AbstractContextManager[None]:
        """Measure what is done inside, also when it fails; a second time adds up."""
        return Phases(self.clock, self.phases).phase(name)

    @property
    def good(self) -> bool:
        """Nothing is wrong yet."""
        return not self.faults and not self.failures
