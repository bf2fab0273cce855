"""What do the other wings learn of retention?

backup/<db>/retention  what can be restored, what locks keep, what belongs to nobody, what stopped
"""

from __future__ import annotations

from sre.backup.job import Job
from sre.backup.pruning.survey import Survey
from sre.backup.retention.records import Plan

__all__ = ["publish_retention"]


def publish_retention(job: Job, found: Survey, plan: Plan, *, deleted: frozenset[str]) -> None:
    """After every retention that was allowed to act."""
    left = [each for each in found.history.verified if each.id not in deleted]
    value = {
        "db": found.declared.name,
        "restorable_verified": len(left),
        "retained_locked_bytes": sum(each.stored_bytes for each in plan.those("retained")),
        "orphan_bytes": sum(
            each.bytes for each in found.orphans if plan.blocked or not each.delete
        ),
        "deleted": sorted(deleted),
        "blocked": [each.code for each in plan.blocked],
    }
    job.facts.publish(f"backup/{found.declared.name}/retention", value)
