"""`sre backup copy`: bring the second store up to date."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sre.cli.backup_parts import bar, job_of, metrics_file_option, seconds_of, write_metrics_file
from sre.cli.options import Run, common_options

if TYPE_CHECKING:
    from sre.backup.copying.records import Passed
    from sre.backup.job import Job

__all__ = ["copy_command"]


@click.command("copy")
@click.argument("databases", nargs=-1, metavar="[DB…]")
@click.option("--to", metavar="STORE", help="One store; default: all of the tier's `copies:`.")
@click.option(
    "--watch/--once", default=False,
    help="Pass after pass until a signal ends it, or one pass (the default).",
)  # fmt: skip
@click.option(
    "--every", default="60s", show_default=True, metavar="DURATION",
    help="With --watch: from the end of a pass to the next.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Say what is missing there; write nothing.")
@metrics_file_option
@common_options
def copy_command(
    databases: tuple[str, ...],
    *,
    to: str | None,
    watch: bool,
    every: str,
    dry_run: bool,
    metrics_file: Path | None,
    run: Run,
) -> int:
    """Copy what other stores lack of these databases (all with `copies:`): encrypted, as it is.

    Run it where the second store is: it needs to read the first store and to write to the second,
    no database, no identity. Every byte is checked against the signed manifest. Exit code 7: an
    object is damaged, in either store, and is named; 4: a store does not answer (what is copied
    stays, run it again).
    """
    from sre.backup.copying.copy import targets_of  # noqa: PLC0415  only when it runs

    job, pause = job_of(run), seconds_of("--every", every, 1)
    pairs = targets_of(job, databases, to)
    if watch and not dry_run:
        return _watch(job, pairs, pause, metrics_file, run)
    try:
        passes, code = _passes(job, pairs, dry_run, run)
    finally:
        if not dry_run:
            write_metrics_file(metrics_file, job)
    if passes or run.format == "json":
        _show(passes, run)
    return code


def _passes(
    job: Job, pairs: list[tuple[str, str]], dry_run: bool, run: Run
) -> tuple[list[Passed], int]:
    """Every pair has its turn; a store that is away does not hold up the others."""
    from sre.backup.copying.copy import copy_pass, plan_copy  # noqa: PLC0415
    from sre.backup.copying.records import exit_code  # noqa: PLC0415
    from sre.core.errors import Locked, Transient, UsageError  # noqa: PLC0415

    done: list[Passed] = []
    code = 0
    for db, store in pairs:
        try:
            if dry_run:
                done.append(plan_copy(job, db, store))
                continue
            with bar(f"copying {db} to {store}", run) as start:
                done.append(copy_pass(job, db, store, progress=start))
        except (Transient, Locked, UsageError) as error:  # one store's credentials, for example
            click.echo(f"error: {db} to {store}: {error}", err=True)
            code = max(code, error.exit_code)
    return done, exit_code(done) or code


def _watch(
    job: Job, pairs: list[tuple[str, str]], pause: float, metrics_file: Path | None, run: Run
) -> int:
    """Until SIGTERM or Ctrl-C; trouble is said and tried again."""
    from sre.core.errors import UsageError  # noqa: PLC0415

    while True:
        passes, code = _passes(job, pairs, dry_run=False, run=run)
        write_metrics_file(metrics_file, job)
        if code == UsageError.exit_code and not passes:
            return code  # nothing that waiting would mend
        news = [each for each in passes if each.faults or _moved(each)]
        if news:
            _show(news, run)
        job.clock.sleep(pause)


def _moved(each: Passed) -> bool:
    return bool(each.log_objects) or any(one.state != "there" for one in each.backups)


def _show(passes: list[Passed], run: Run) -> None:
    from sre.backup.copying.render import copies_as_json, copies_as_text  # noqa: PLC0415

    run.emit(copies_as_json(passes) if run.format == "json" else copies_as_text(passes))
