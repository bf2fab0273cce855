"""What is promised: of which journey, step or probe, to which share, over which time?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Literal

from sre.core.units import Duration, Share

__all__ = ["Objective"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")
_DEFAULT_WINDOW = Duration(30 * 86400.0)
_LONGEST_WINDOW = 90 * 86400.0
_SHORTEST_WINDOW = 3600.0


@dataclass(frozen=True)
class Objective:
    """One promise, an entry of `objectives:`.

    Good events are runs that ended ok or degraded (and, with `below`, took no longer than that);
    bad events are those that failed. Refused, throttled and blocked runs are not events.

    Attributes:
        journey, step, probe: exactly one; a step is written `JOURNEY/STEP`.
        target: the share of events that must be good, above 0 % and below 100 %.
        below: seconds; makes it a latency objective, and a bucket edge of the histogram.
        window: seconds over which the share is taken, 1h to 90d.
        runbook: the `id` of the runbook that an alert of this objective links to.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    name: str
    target: Share
    owner: str
    journey: str | None = None
    step: str | None = None
    probe: str | None = None
    below: Duration | None = None
    window: Duration = _DEFAULT_WINDOW
    severity: Literal["page", "ticket"] = "page"
    runbook: str | None = None

    def __post_init__(self) -> None:
        self._check_words()
        self._check_subject()
        if not 0.0 < self.target < 1.0:
            raise ValueError("target must be above 0% and below 100%; try '99.9%'")
        if self.below is not None and self.below <= 0:
            raise ValueError("below must be longer than 0; leave it out for availability")
        if not _SHORTEST_WINDOW <= self.window <= _LONGEST_WINDOW:
            raise ValueError("window must be 1h to 90d; try '30d'")

    def _check_words(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"name {self.name!r} must be a letter or _, then up to 62 letters, digits, _ or -"
            )
        if not self.owner.strip():
            raise ValueError("owner must say who answers for this objective")

    def _check_subject(self) -> None:
        given = [self.journey, self.step, self.probe]
        if sum(subject is not None for subject in given) != 1:
            raise ValueError("exactly one of journey, step and probe must be given")
        if self.step is not None and not all(self.step.partition("/")):
            raise ValueError(f"step {self.step!r} must be written JOURNEY/STEP")

    @property
    def subject(self) -> str:
        """The one thing it is about: `checkout`, `checkout/pay` or a probe's name."""
        return self.journey or self.step or self.probe or ""

    @property
    def is_latency(self) -> bool:
        """Whether it is about speed rather than success alone."""
        return self.below is not None
