"""What do the other wings learn of a run? (the fact `runbook.ID`)"""

from __future__ import annotations

from sre.core.errors import IntegrityError
from sre.core.facts import Facts
from sre.runbook.store import Request

__all__ = ["fact_name", "publish"]


def fact_name(runbook: str) -> str:
    """The fact's name; its value says when it last ran, and when it was last rehearsed."""
    return f"runbook.{runbook}"


def publish(facts: Facts, request: Request, result: str, seconds: float | None, now: float) -> None:
    """Publish how a run ended; the last rehearsal is kept until the next one.

    `last_run` and `last_rehearsal` are each {run, at, result, seconds, target, digest}. Without
    `seconds` the run was published before: nothing is done when that is so.
    """
    name = fact_name(request.runbook)
    try:
        fact = facts.read(name)
    except IntegrityError:
        fact = None
    known = dict(fact.value) if fact is not None else {}
    if seconds is None and (known.get("last_run") or {}).get("run") == request.run:
        return
    record = {
        "run": request.run,
        "at": now,
        "result": result,
        "seconds": round(seconds or 0.0, 3),
        "target": request.target,
        "digest": request.digest,
    }
    rehearsed = {"last_rehearsal": record} if request.rehearsal else {}
    facts.publish(name, {**known, "last_run": record, **rehearsed})
