"""Which steps are sent twice on purpose, in which share of the runs? (pure)

`resend: {pay: 5%}`: a customer whose answer is lost sends the payment again. The invariants then
tell whether the shop took the money twice.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from sre.journey.model import Journey

__all__ = ["resends_of", "resolve_resend"]


def resolve_resend(name: str, journeys: Mapping[str, Journey]) -> tuple[str, str]:
    """(journey, step) that `name` or `JOURNEY/name` means.

    Raises ValueError when there is none, more than one, or one that must not be sent twice.
    """
    found = [
        (journey.name, step)
        for journey in journeys.values()
        for step in (*journey.steps, *(s for block in journey.setup for s in block.steps))
        if name in (step.name, f"{journey.name}/{step.name}")
    ]
    if not found:
        known = sorted(
            f"{journey.name}/{step.name}"
            for journey in journeys.values()
            for step in journey.steps
            if step.idempotency_header is not None
        )
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known) or 'none'}"
        raise ValueError(f"there is no step {name!r} in this load test; {hint}")
    if len({journey for journey, _ in found}) > 1:
        raise ValueError(
            f"{name!r} is ambiguous; write "
            + " or ".join(f"{journey}/{step.name}" for journey, step in found)
        )
    journey, step = found[0]
    if step.idempotency_header is None:
        raise ValueError(
            f"step {name!r} has no idempotency key, so sending it twice would do it twice; give "
            "it `idempotency_key: {header: Idempotency-Key}`"
        )
    if step.until is not None:
        raise ValueError(f"step {name!r} is sent again by its `until` already; resend another")
    return journey, step.name


def resends_of(
    resend: Mapping[str, float], journeys: Mapping[str, Journey]
) -> dict[str, dict[str, float]]:
    """Journey -> step -> share. Raises as `resolve_resend`."""
    found: dict[str, dict[str, float]] = {}
    for name, share in resend.items():
        journey, step = resolve_resend(name, journeys)
        found.setdefault(journey, {})[step] = float(share)
    return found
