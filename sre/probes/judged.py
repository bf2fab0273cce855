"""How does a look at a server become a reading: what was found, and what limits make of it?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sre.probes.bounds import verdict
from sre.probes.dial import Attempt, Trouble
from sre.probes.model import Gauge, ProbeContext, Reading

__all__ = ["Seen", "judged"]


@dataclass
class Seen:
    """What the answers said.

    Attributes:
        role: what the server is among its like; empty where it has none.
        measured: what limits are about, by the limit's name; None where it does not apply.
        bad, poor: what fails, and what degrades, for people.
    """

    role: str = ""
    gauges: list[Gauge] = field(default_factory=list)
    measured: dict[str, float | None] = field(default_factory=dict)
    bad: list[str] = field(default_factory=list)
    poor: list[str] = field(default_factory=list)


def judged(
    kind: str,
    context: ProbeContext,
    look: Callable[[Attempt, Seen], None],
    *,
    highest: Any,
    warn: Any,
    role: str | None = None,
) -> Reading:
    """Let `look` fill in what it finds until it ends or a Trouble ends it; then judge.

    What was found before a Trouble is exported all the same. `role` is what the server must be.
    """
    attempt, seen = Attempt(kind, context), Seen()
    try:
        look(attempt, seen)
    except Trouble as trouble:
        attempt.gauges += seen.gauges
        return attempt.ended_by(trouble)
    attempt.gauges += seen.gauges
    if role is not None and seen.role not in ("", role):
        seen.bad.append(f"its role is {seen.role}, not {role}")
    return attempt.reading(*verdict(highest, warn, seen.measured, bad=seen.bad, poor=seen.poor))
