"""How is a server measured part by part, so that one that may not be read spoils no other?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sre.journey.result import Outcome, Reason
from sre.probes.bounds import verdict
from sre.probes.model import Gauge

__all__ = ["Denied", "Found", "Late", "Measured", "Unanswered", "judge", "measured"]


class Unanswered(Exception):  # noqa: N818  a finding about one part, not an error of ours
    """One question has no answer, and the connection still stands."""


class Denied(Unanswered):
    """This user may not ask that, or this server does not know it: no fault of the server."""


class Late(Unanswered):
    """The server gave up at the time limit that it was given."""


@dataclass(frozen=True)
class Found:
    """What one part told.

    Attributes:
        used: what limits are about, by the name of the limit; None: it does not apply here.
        bad, poor: what is wrong whatever the limits say, for people: failed, or degraded.
    """

    gauges: tuple[Gauge, ...] = ()
    used: Mapping[str, float | None] = field(default_factory=dict)
    bad: tuple[str, ...] = ()
    poor: tuple[str, ...] = ()


@dataclass
class Measured:
    """What all parts told.

    Attributes:
        done: by part, whether it could be measured.
        failed: by part, why not; one that may not be asked is not among them.
    """

    gauges: list[Gauge] = field(default_factory=list)
    used: dict[str, float | None] = field(default_factory=dict)
    bad: list[str] = field(default_factory=list)
    poor: list[str] = field(default_factory=list)
    done: dict[str, bool] = field(default_factory=dict)
    failed: dict[str, Unanswered] = field(default_factory=dict)

    def add(self, found: Found) -> None:
        """Put one part's findings to the others."""
        self.gauges += found.gauges
        self.used |= found.used
        self.bad += found.bad
        self.poor += found.poor


def measured(parts: Mapping[str, Callable[[], Found]]) -> Measured:
    """Every part in its order; an Unanswered ends its part alone, anything else is raised."""
    total = Measured()
    for name, part in parts.items():
        try:
            total.add(part())
        except Unanswered as error:
            total.done[name] = False
            if not isinstance(error, Denied):
                total.failed[name] = error
        else:
            total.done[name] = True
    return total


def judge(total: Measured, warn: Any, most: Any) -> tuple[Outcome, Reason, str]:
    """The verdict; limits are dataclasses of numbers or None. (pure)"""
    gaps = [f"{name} not measured: {why}" for name, why in total.failed.items()]
    late = bool(gaps) and all(isinstance(why, Late) for why in total.failed.values())
    outcome, reason, message = verdict(
        most, warn, total.used, bad=total.bad, poor=[*gaps, *total.poor]
    )
    if outcome is Outcome.DEGRADED and late and not total.poor:
        reason = Reason.TIMEOUT
    return outcome, reason, message
