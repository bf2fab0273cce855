"""`sre loadtest run`: does the shop pass?"""

from __future__ import annotations

import contextlib
import json
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sre.cli.loadtest_ci import tell_ci
from sre.cli.loadtest_cluster import Cluster, cluster_options
from sre.cli.loadtest_examiners import examiners_of
from sre.cli.loadtest_history import History, history_options, regressions_of
from sre.cli.loadtest_pairs import both_of, run_pairs
from sre.cli.loadtest_parts import Progress, folder, guarded, job_in
from sre.cli.loadtest_web import Website, web_options
from sre.cli.options import Run, common_options
from sre.core.errors import Interrupted, Terminated, UsageError
from sre.loadtest.profiles import CAPACITY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sre.loadtest.crew.model import Watcher
    from sre.loadtest.gate import Examiner
    from sre.loadtest.job import Job
    from sre.loadtest.judge.assemble import Ran
    from sre.loadtest.judge.report import Report

__all__ = ["run_command"]


@click.command("run")
@click.argument("name")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the reports; default ./loadtest-NAME-TIME.",
)
@click.option(
    "--workers", type=click.IntRange(1, 256), help="Worker processes; default: as many as it takes."
)
@click.option(
    "--i-know-this-is-production",
    "production",
    is_flag=True,
    help="Without it, a shop in production gets no load.",
)
@cluster_options
@history_options
@web_options
@common_options
def run_command(
    *,
    name: str,
    out: Path | None,
    workers: int | None,
    production: bool,
    cluster: Cluster | None,
    history: History,
    web: Website | None,
    run: Run,
) -> int:
    """Run load test NAME and judge it: passed 0, failed 1, invalid 3, aborted 8.

    Writes summary.json, junit.xml and report.html into the folder of the reports. Ctrl-C and
    SIGTERM stop it cleanly and still write them.

    With --against URL, the build at URL and the shop run side by side, each run judged by its own
    thresholds, and `regression` over all pairs.
    """
    settings = run.settings()
    job = job_in(settings, name)
    if job.test.profile == CAPACITY:
        raise UsageError(f"{name!r} is a search; run it with: sre loadtest capacity {name}")
    out = out or Path(f"loadtest-{name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")  # noqa: TID251
    members = cluster.expect if cluster else workers or job.workers_needed
    if history.against is not None:
        if cluster or web:
            raise UsageError("--against runs on this machine alone, and is not served meanwhile")
        both = both_of(job, history.against, out, production=production)
        report, ran, trouble = run_pairs(both, settings, run, folder(out), members, history)
        return _told(report, ran, trouble, run, out)
    guards = guarded(job, production=production, out=out)
    out = folder(out)
    examiners = examiners_of(job, settings, out)
    if job.test.regression is not None:
        examiners.append(regressions_of(job, members, history))
    with web.desk(job, members) if web else contextlib.nullcontext() as desk:
        examiners += [desk] if desk else []
        guards += [desk] if desk else []
        return _run(job, run, out, members, examiners, guards, cluster=cluster)


def _run(
    job: Job,
    run: Run,
    out: Path,
    workers: int,
    examiners: Sequence[Examiner],
    guards: Sequence[Watcher],
    *,
    cluster: Cluster | None,
) -> int:
    from sre.core.console import status  # noqa: PLC0415
    from sre.loadtest.gate import judged_run  # noqa: PLC0415
    from sre.loadtest.held import Held  # noqa: PLC0415
    from sre.loadtest.output.files import write_reports  # noqa: PLC0415

    with Held() as held:
        with status(f"{job.name}: starting {workers} worker(s)", enabled=run.progress) as say:
            report, ran = judged_run(
                job,
                out,
                examiners=examiners,
                workers=workers,
                crew=cluster.crew(job, out, say) if cluster else None,
                log_level=run.log_level,
                watchers=[Progress(job, say), *guards],
            )
        trouble = write_reports(report, out)
        code = _told(report, ran, trouble, run, out)
    return _stopped(ran.signal or held.signal, trouble) or code


def _told(report: Report, ran: Ran, trouble: str, run: Run, out: Path) -> int:
    from sre.core.console import table  # noqa: PLC0415
    from sre.loadtest.output.render import text  # noqa: PLC0415
    from sre.loadtest.output.summary import to_summary  # noqa: PLC0415

    if run.format == "json":
        run.emit(json.dumps(to_summary(report), indent=2))
    else:
        where = trouble or f"reports: {out}/report.html, summary.json, junit.xml"
        run.emit(f"{text(report, table)}\n{where}")
    tell_ci(report)
    if trouble:
        click.echo(f"sre: {trouble}", err=True)
        return report.verdict.exit_code or 3  # a pass counts only when it stands on the disk
    return report.verdict.exit_code


def _stopped(number: int | None, trouble: str) -> int:
    """Raises what the signal `number` stands for, if one came; 0 otherwise."""
    written = trouble or "reports are written"
    if number == signal.SIGINT:
        raise Interrupted(f"interrupted; {written}")
    if number is not None:
        raise Terminated(f"terminated by SIGTERM; {written}")
    return 0
