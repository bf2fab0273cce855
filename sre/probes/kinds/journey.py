"""Can a customer walk this path from end to end?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sre.journey.drive import run_once
from sre.probes.facts import Facts
from sre.probes.model import ProbeContext, Reading
from sre.probes.path import reading_of

__all__ = ["JourneyProbe"]


@dataclass(frozen=True)
class JourneyProbe:
    """Runs one journey of `journeys:`. Its time limits, budget and cleanup are the journey's own.

    Attributes:
        journey: the journey's name.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    facts: ClassVar[Facts] = Facts("journey")
    journey: str

    def check(self, context: ProbeContext) -> Reading:
        """One run as user 0; cleanup steps run even when it is cancelled."""
        result = run_once(
            context.journeys[self.journey],
            shop=context.shop,
            guard=context.guard,
            clock=context.clock,
            cancel=context.cancelled,
            sequence=context.sequence,
        )
        return reading_of(result, self.journey)
