"""`sre loadtest`: what would a load test do, and does the shop pass it?"""

from __future__ import annotations

import json
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sre.cli.options import Run, common_options
from sre.core.errors import Interrupted, SreError, Terminated, UsageError

if TYPE_CHECKING:
    from sre.loadtest.job import Job
    from sre.loadtest.judge.report import Report

__all__ = ["loadtest"]


@click.group()
def loadtest() -> None:
    """Release gate: open-model load from the journeys that the probes run.

    Exit codes of `run`: passed 0, failed 1, invalid 3, aborted 8, refused 5.
    """


@loadtest.command()
@click.argument("name")
@common_options
def plan(name: str, run: Run) -> int:
    """Show what load test NAME would send, without sending anything.

    Rates and arrivals of each stage, requests and orders to expect, whether the allow-list admits
    the target, and how many workers it takes.
    """
    from sre.core.console import table  # noqa: PLC0415
    from sre.loadtest.output.render import plan_data, plan_text  # noqa: PLC0415

    job = _job(run, name)
    address, refused, code = None, None, 0
    try:
        address = job.admit().authority
    except SreError as error:
        refused, code = str(error), error.exit_code
    data = plan_data(job, address, refused)
    run.emit(json.dumps(data, indent=2) if run.format == "json" else plan_text(data, table))
    return code


@loadtest.command("run")
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
@common_options
def run_command(
    name: str, out: Path | None, workers: int | None, production: bool, run: Run
) -> int:
    """Run load test NAME and judge it: passed 0, failed 1, invalid 3, aborted 8.

    Writes summary.json, junit.xml and report.html into the folder of the reports. Ctrl-C and
    SIGTERM stop it cleanly and still write them.
    """
    job = _job(run, name)
    _check_supported(job)
    job.check_production(allowed=production)
    job.admit()
    out = out or Path(f"loadtest-{name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")  # noqa: TID251
    return _run(job, run, out, workers or job.workers_needed)


def _run(job: Job, run: Run, out: Path, workers: int) -> int:
    from sre.core.console import status, table  # noqa: PLC0415
    from sre.loadtest.output.files import write_reports  # noqa: PLC0415
    from sre.loadtest.output.render import text  # noqa: PLC0415
    from sre.loadtest.output.summary import to_summary  # noqa: PLC0415
    from sre.loadtest.runner import run_job  # noqa: PLC0415

    out = _folder(out)
    total = job.shape.seconds
    with status(f"{job.name}: starting {workers} worker(s)", enabled=run.progress) as say:
        report, ended_by = run_job(
            job,
            out,
            workers=workers,
            log_level=run.log_level,
            progress=lambda at, started, flying: say(
                f"{job.name}: {max(0.0, at):.0f} of {total:.0f} s, {started} journeys started, "
                f"{flying} in flight"
            ),
        )
    write_reports(report, out)
    if run.format == "json":
        run.emit(json.dumps(to_summary(report), indent=2))
    else:
        run.emit(f"{text(report, table)}\nreports: {out}/report.html, summary.json, junit.xml")
    return _exit_code(report, ended_by)


def _exit_code(report: Report, ended_by: int | None) -> int:
    if ended_by == signal.SIGINT:
        raise Interrupted("interrupted; reports are written")
    if ended_by is not None:
        raise Terminated("terminated by SIGTERM; reports are written")
    return report.verdict.exit_code


def _job(run: Run, name: str) -> Job:
    from sre.loadtest.job import Job  # noqa: PLC0415

    settings = run.settings()
    if name not in settings.loadtests:
        known = ", ".join(settings.loadtests) or "none"
        raise UsageError(f"there is no load test {name!r}; declared under loadtests: {known}")
    return Job(name, settings.loadtests[name], settings.journeys, settings.shop, settings.targets)


def _check_supported(job: Job) -> None:
    for key in ("invariants", "regression"):
        if getattr(job.test, key):
            raise UsageError(
                f"load test {job.name!r} declares `{key}`, which this version does not evaluate "
                "yet; it will not pretend to: take it out to run the rest"
            )


def _folder(out: Path) -> Path:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write reports to {out}: {error.strerror}") from error
    for name in ("summary.json", "junit.xml", "report.html"):
        (out / name).unlink(missing_ok=True)  # an old verdict must not outlive a run that crashed
    for log in out.glob("worker-*.log"):
        log.unlink()
    return out
