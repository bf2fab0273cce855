"""What does a run of a journey mean as the reading of a probe? (pure)"""

from __future__ import annotations

from sre.journey.result import JourneyResult
from sre.probes.model import Reading

__all__ = ["reading_of"]


def reading_of(result: JourneyResult, journey: str | None) -> Reading:
    """The reading; `journey` names it where its steps are to be exported, else None."""
    message = result.message
    if message and result.failed_step and journey is not None:
        message = f"{result.failed_step}: {message}"
    return Reading(
        outcome=result.outcome,
        seconds=result.seconds,
        reason=result.reason,
        message=message,
        steps=result.steps,
        journey=journey,
        run_id=result.run_id,
        ambiguous=result.ambiguous,
    )
