"""Who told a cluster not to fail over by itself, and does everybody know? (effects)

failover/<cluster>/pause  who paused it, when and why; or that nobody does any more
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sre.core.clock import Deadline
from sre.core.errors import UsageError
from sre.failover.engine import Maintained
from sre.failover.job import Job

__all__ = ["Change", "change_maintenance", "look_at_maintenance"]

_LOOK_SECONDS = 5.0


@dataclass(frozen=True)
class Change:
    """What was found, and whether something was changed.

    Attributes:
        nodes: node -> what it says; None: it does not answer.
    """

    cluster: str
    on: bool
    changed: bool
    nodes: Mapping[str, bool | None]


def look_at_maintenance(job: Job) -> Mapping[str, bool | None]:
    """What each node says. Raises UsageError where there is no such thing."""
    return _engine(job).maintained(Deadline.after(_LOOK_SECONDS, job.clock))


def change_maintenance(
    job: Job,
    on: bool,  # noqa: FBT001  a state, not a mode
    reason: str,
    seconds: float,
) -> Change:
    """It is paused, or no longer, and everybody who answers says so.

    Raises:
        UsageError: nothing above this cluster fails over by itself.
        CheckFailed: it refused.
        Transient: not everybody has heard it.
        Locked: an operation is at it.
    """
    engine = _engine(job)
    with job.alone("pause" if on else "unpause"):
        before = look_at_maintenance(job)
        known = [each for each in before.values() if each is not None]
        changed = not known or any(each != on for each in known)
        if changed:
            engine.maintain(on, Deadline.after(seconds, job.clock))
        job.publish_pause(on, reason)
        return Change(job.declared.name, on, changed, look_at_maintenance(job))


def _engine(job: Job) -> Maintained:
    if not isinstance(job.engine, Maintained):
        name, kind = job.declared.name, job.declared.kind
        raise UsageError(
            f"nothing fails {name} over by itself (kind: {kind}), so there is nothing to pause"
        )
    return job.engine
