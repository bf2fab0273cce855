"""`sre loadtest capacity`: how much does the shop bear?"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sre.cli.loadtest_examiners import examiners_of
from sre.cli.loadtest_parts import Progress, folder, guarded, job_in
from sre.cli.options import Run, common_options
from sre.core.errors import Interrupted, Terminated, UsageError

if TYPE_CHECKING:
    from sre.loadtest.capacity.model import Capacity
    from sre.loadtest.capacity.result import Found
    from sre.loadtest.crew.model import Watcher
    from sre.loadtest.job import Job
    from sre.loadtest.judge.assemble import Ran
    from sre.loadtest.judge.report import Report
    from sre.settings import Settings

__all__ = ["capacity_command"]


@click.command("capacity")
@click.argument("name")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the reports; default ./capacity-NAME-TIME.",
)
@click.option(
    "--workers", type=click.IntRange(1, 256), help="Worker processes; default: as many as it takes."
)
@click.option("--from", "from_", help="The first level, a share of the mix: 50%.")
@click.option("--limit", help="No level above this share of the mix: 500%.")
@click.option("--precision", help="How close: 5%.")
@click.option("--settle", help="Sent before each level is measured: 15s.")
@click.option("--measure", help="How long a level is measured: 60s.")
@click.option("--recovery", help="How long the shop may take to come back after a level: 2m.")
@click.option("--dry-run", is_flag=True, help="Show the levels that may come; send nothing.")
@click.option(
    "--i-know-this-is-production",
    "production",
    is_flag=True,
    help="Without it, a shop in production gets no load.",
)
@common_options
def capacity_command(
    name: str,
    out: Path | None,
    workers: int | None,
    production: bool,
    dry_run: bool,
    run: Run,
    **given: str | None,
) -> int:
    """Search for the highest rate at which load test NAME still holds its thresholds.

    The mix is scaled as a whole: up until a level breaks, then between the two, then once more for
    longer. Writes capacity.json and capacity.html, and each level's own reports. Found and
    confirmed 0; not even the lowest level holds 1; the generator is the limit 3; aborted 8.
    """
    from sre.loadtest.capacity.plan import within_caps  # noqa: PLC0415

    settings = run.settings()
    job = job_in(settings, name)
    rules = within_caps(_searchable(job), _rules(job, given))
    out = out or Path(f"capacity-{name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")  # noqa: TID251
    if dry_run:
        return _plan(job, rules, run)
    _guard(job, rules, production=production, out=out)
    return _search(job, settings, run, rules, _emptied(folder(out)), workers)


def _searchable(job: Job) -> Job:
    from sre.loadtest.capacity.level import promises_of  # noqa: PLC0415

    if job.test.closed:
        raise UsageError(
            f"load test {job.name!r} is a closed model, whose rate follows the shop; a capacity "
            "needs `mix: {JOURNEY: RATE}`"
        )
    if not promises_of(job):
        raise UsageError(
            f"load test {job.name!r} has no threshold for the whole run, so nothing says what "
            "holding means; declare one such as 'checkout.response.p95 < 800ms'"
        )
    return job


def _rules(job: Job, given: dict[str, str | None]) -> Capacity:
    """What is declared, but for what the command line says."""
    from sre.core.units import Duration, Share  # noqa: PLC0415

    said: dict[str, Any] = {}
    for key, text in given.items():
        if text is None:
            continue
        unit = Duration if key in ("settle", "measure", "recovery") else Share
        try:
            said[key] = unit.parse(text)
        except ValueError as error:
            raise UsageError(f"--{key.rstrip('_')}: {error}") from error
    lowest = min(job.test.capacity.lowest, said.get("from_", job.test.capacity.from_))
    try:
        return replace(job.test.capacity, **said, lowest=lowest)
    except ValueError as error:
        raise UsageError(f"load test {job.name!r}: {error}") from error


def _guard(job: Job, rules: Capacity, *, production: bool, out: Path) -> None:
    """Ask every guard about the most that the search may come to."""
    from sre.loadtest.capacity.plan import reach_of, worst_job  # noqa: PLC0415

    reach = reach_of(job, rules)
    for levels in (reach.longest, reach.busiest):
        guarded(worst_job(job, levels, rules), production=production, out=out)


def _plan(job: Job, rules: Capacity, run: Run) -> int:
    from sre.core.console import table  # noqa: PLC0415
    from sre.loadtest.capacity.plan import plan_data, plan_text, reach_of  # noqa: PLC0415

    data = plan_data(job, rules, reach_of(job, rules))
    run.emit(json.dumps(data, indent=2) if run.format == "json" else plan_text(data, table))
    return 0


def _emptied(out: Path) -> Path:
    """Results of an earlier search must not outlive a crash of this one."""
    from sre.loadtest.capacity.files import NAMES  # noqa: PLC0415

    try:
        for name in NAMES:
            (out / name).unlink(missing_ok=True)
        if next(out.glob("level-*"), None) is not None:
            raise UsageError(f"{out} holds the levels of another search; name another folder")
    except OSError as error:
        raise UsageError(f"cannot write reports to {out}: {error.strerror}") from error
    return out


def _search(
    job: Job, settings: Settings, run: Run, rules: Capacity, out: Path, workers: int | None
) -> int:
    from sre.core.clock import SystemClock  # noqa: PLC0415
    from sre.core.console import status, table  # noqa: PLC0415
    from sre.core.facts import Facts  # noqa: PLC0415
    from sre.loadtest.capacity.files import publish, write_found  # noqa: PLC0415
    from sre.loadtest.capacity.hunt import Hunt  # noqa: PLC0415
    from sre.loadtest.capacity.render import text, to_plain  # noqa: PLC0415
    from sre.loadtest.held import Held  # noqa: PLC0415

    with status(f"{job.name}: searching", enabled=run.progress) as say:
        levels = _Levels(settings, run, out, workers, say)
        found = Hunt(job, rules, levels, SystemClock(), say).go()
    with Held() as held:
        held.hold()
        trouble = write_found(found, out) or publish(found, Facts())
    found = replace(found, signal=found.signal or held.signal)
    if run.format == "json":
        run.emit(json.dumps(to_plain(found), indent=2))
    else:
        where = trouble or f"reports: {out}/capacity.html, capacity.json, level-*/"
        run.emit(f"{text(found, table)}\n{where}")
    return _exit_code(found, trouble)


@dataclass(frozen=True)
class _Levels:
    """Runs levels into folders below `out`."""

    settings: Settings
    run: Run
    out: Path
    workers: int | None
    say: Callable[[str], None]

    def __call__(
        self, job: Job, name: str, watchers: Sequence[Watcher], *, reported: bool
    ) -> tuple[Report, Ran]:
        from sre.loadtest.gate import judged_run  # noqa: PLC0415
        from sre.loadtest.guards.preflight import kill_files  # noqa: PLC0415
        from sre.loadtest.guards.watchers import watchers_of  # noqa: PLC0415
        from sre.loadtest.output.files import write_reports  # noqa: PLC0415

        own = folder(self.out / name)
        guards = watchers_of(job, kill_files(job, self.out))
        report, ran = judged_run(
            job,
            own,
            examiners=examiners_of(job, self.settings, own) if reported else (),
            workers=self.workers or min(job.workers_needed, len(os.sched_getaffinity(0))),
            log_level=self.run.log_level,
            watchers=[*guards, *watchers, Progress(job, self.say, f"{name}: ")],
        )
        trouble = write_reports(report, own) if reported else ""
        if trouble:
            click.echo(f"sre: {trouble}", err=True)
        return report, ran


def _exit_code(found: Found, trouble: str) -> int:
    written = trouble or "what is known so far is written"
    if found.signal == signal.SIGINT:
        raise Interrupted(f"interrupted; {written}")
    if found.signal is not None:
        raise Terminated(f"terminated by SIGTERM; {written}")
    if trouble:
        click.echo(f"sre: {trouble}", err=True)
        return found.exit_code or 3  # it counts only when it stands on the disk
    return found.exit_code
