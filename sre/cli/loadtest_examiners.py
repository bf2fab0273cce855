"""Who looks at a load test from outside, before and after it?

One place joins the declaration with those who examine a run: invariants, comparisons.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sre.core.secrets import Secret

if TYPE_CHECKING:
    from sre.loadtest.gate import Examiner
    from sre.loadtest.job import Job
    from sre.settings import Settings

__all__ = ["examiners_of"]


def examiners_of(job: Job, settings: Settings, out: Path) -> list[Examiner]:
    """Everybody that `job` declares; `out` is the folder of the reports.

    The examiner of `regression` is not among them: it is for a single run, not for each of many.
    """
    from sre.loadtest.truth.examiner import InvariantsExaminer  # noqa: PLC0415

    examiners: list[Examiner] = []
    if job.test.observe is not None:  # first: it tells when the run began from when it ended
        from sre.core.clock import SystemClock  # noqa: PLC0415
        from sre.loadtest.server.examiner import ServerExaminer  # noqa: PLC0415

        examiners.append(ServerExaminer(job.test.observe, SystemClock()))
    if job.test.invariants or job.with_effects:  # it also tells of outcomes that nobody knows
        examiners.append(InvariantsExaminer(job, _databases(settings)))
    return examiners


def _databases(settings: Settings) -> dict[str, Secret]:
    """The dsn of each database that has one."""
    found = {name: getattr(each.database, "dsn", None) for name, each in settings.databases.items()}
    return {name: dsn for name, dsn in found.items() if isinstance(dsn, Secret)}
