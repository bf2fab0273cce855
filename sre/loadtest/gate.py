"""What happens around a run, from before the first customer to the verdict?

Examiners look at the run from outside: the shop's database, earlier runs. They may note something
before it starts, and say afterwards what they found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from sre.core.clock import Clock
from sre.loadtest.crew.model import Crew, Watcher
from sre.loadtest.job import Job
from sre.loadtest.judge.assemble import Ran, assemble
from sre.loadtest.judge.finding import Finding
from sre.loadtest.judge.report import Report
from sre.loadtest.runner import new_run_id, run_job

__all__ = ["Examiner", "judged_run"]


class Examiner(Protocol):
    """Looks at a run from outside.

    One that compares with other runs has an attribute `baseline` afterwards, as Report.baseline.
    """

    def before(self, run_id: str) -> None:
        """Note what must be known before the first customer comes.

        Raises UsageError or Transient when the run would be in vain; nothing has been sent then.
        """
        ...

    def after(self, ran: Ran) -> Sequence[Finding]:
        """What came of it. Never raises for what it finds or cannot find out."""
        ...


def judged_run(
    job: Job,
    out: Path,
    *,
    examiners: Sequence[Examiner] = (),
    watchers: Sequence[Watcher] = (),
    crew: Crew | None = None,
    workers: int = 1,
    clock: Clock | None = None,
    log_level: str = "warning",
) -> tuple[Report, Ran]:
    """Run `job` once and judge it. Raises as `run_job` and `Examiner.before` do."""
    run_id = new_run_id()
    for examiner in examiners:
        examiner.before(run_id)
    ran = run_job(
        job,
        out,
        clock=clock,
        crew=crew,
        workers=workers,
        run_id=run_id,
        log_level=log_level,
        watchers=watchers,
    )
    findings = [finding for examiner in examiners for finding in examiner.after(ran)]
    baseline = {
        journey: histogram
        for examiner in examiners
        for journey, histogram in getattr(examiner, "baseline", {}).items()
    }
    return replace(assemble(job, ran, findings), baseline=baseline), ran
