"""How many seconds does each phase of a restore take?"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from sre.core.clock import Clock

__all__ = ["Phases"]


@dataclass
class Phases:
    """Seconds by phase, in the order in which they began; a phase that is repeated adds up."""

    clock: Clock
    seconds: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """What happens inside counts for `name`, also when it fails."""
        began = self.clock.now()
        try:
            yield
        finally:
            passed = self.clock.now() - began
            self.seconds[name] = round(self.seconds.get(name, 0.0) + passed, 3)
