"""May this run begin at all? Asked before a report folder is made and before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sre.core.clock import Clock, SystemClock
from sre.core.errors import Refused
from sre.journey.guard import Admission
from sre.loadtest.guards.caps import closed_now, excesses
from sre.loadtest.job import Job
from sre.loadtest.profiles import CAPACITY

__all__ = ["STOP", "clear", "kill_files", "planned"]

STOP = "STOP"
"""The kill file that every folder of reports has."""


def kill_files(job: Job, out: Path) -> list[Path]:
    """The files that stop a run into `out`."""
    own = [] if job.test.kill_file is None else [Path(job.test.kill_file)]
    return [*own, out / STOP]


def clear(
    job: Job, *, production: bool, stops: Sequence[Path] = (), clock: Clock | None = None
) -> Admission:
    """Every guard that can say no beforehand; returns the address that will be connected to.

    Every command that makes load asks here, once for each target.

    Args:
        production: `--i-know-this-is-production` was given.
        stops: the kill files of the run.

    Raises:
        Refused: production without the word, an order that is not marked as a sandbox's, a cap, the
            time of day, a kill file, the allow-list.
        Transient: the shop's name cannot be resolved now.
    """
    now = (clock or SystemClock()).wall()
    job.check_production(allowed=production)
    found = [*excesses(job), *closed_now(job, now=now)]
    if found:
        raise Refused("\n".join(found))
    for path in stops:
        if path.exists():
            raise Refused(
                f"the kill file {path} exists: no load test may run; remove it to allow it"
            )
    return job.admit()


def planned(job: Job) -> Admission:
    """As `clear` would answer at a good hour, the word given; a search keeps to its caps itself."""
    job.check_production(allowed=True)
    found = [] if job.test.profile == CAPACITY else excesses(job)
    if found:
        raise Refused("\n".join(found))
    return job.admit()
