"""What has a verification found so far, and how long did each phase take?"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from sre.backup.records import Fault, Replay
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

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure what is done inside, also when it fails; a second time adds up."""
        began = self.clock.now()
        try:
            yield
        finally:
            took = self.clock.now() - began
            self.phases[name] = round(self.phases.get(name, 0.0) + took, 3)

    @property
    def good(self) -> bool:
        """Nothing is wrong yet."""
        return not self.faults and not self.failures
