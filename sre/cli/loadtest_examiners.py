"""Who looks at a load test from outside, before and after it?

One place joins the declaration with those who examine a run: invariants, comparisons.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sre.core.errors import UsageError

if TYPE_CHECKING:
    from sre.loadtest.gate import Examiner
    from sre.loadtest.job import Job
    from sre.settings import Settings

__all__ = ["examiners_of"]


def examiners_of(job: Job, settings: Settings, out: Path) -> list[Examiner]:
    """Everybody that `job` declares; `out` is the folder of the reports.

    Raises UsageError when something is declared that cannot be examined.
    """
    for key in ("invariants", "regression"):
        if getattr(job.test, key):
            raise UsageError(
                f"load test {job.name!r} declares `{key}`, which this version does not evaluate "
                "yet; it will not pretend to: take it out to run the rest"
            )
    return []
