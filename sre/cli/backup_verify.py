"""`sre backup verify`: would this backup save us?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sre.cli.backup_parts import (
    bar,
    elsewhere,
    from_option,
    job_of,
    metrics_file_option,
    would,
    write_metrics_file,
)
from sre.cli.options import Run, common_options

if TYPE_CHECKING:
    from sre.backup.job import Job

__all__ = ["verify_command"]


@click.command("verify")
@click.argument("target", metavar="DB|ID", required=False)
@click.option(
    "--level",
    type=click.Choice(["0", "1", "2", "3", "4"]),
    help="0 signature and sizes; 1 every byte; 2 unpacked, the engine's check of the files; 3 a "
    "restored server answers; 4 the application accepts it. Default: the tier's, else 1.",
)
@click.option("--due", is_flag=True, help="What is due by the tier's `verify: {level, every}`.")
@click.option(
    "--sample", metavar="N/M",
    help="With --level 1: read the N-th of M parts of the volumes; counts as level 0.",
)  # fmt: skip
@from_option
@click.option("--dry-run", is_flag=True, help="Say what would be verified, and from where.")
@metrics_file_option
@common_options
def verify_command(
    target: str | None,
    *,
    level: str | None,
    due: bool,
    sample: str | None,
    store: str | None,
    dry_run: bool,
    metrics_file: Path | None,
    run: Run,
) -> int:
    """Verify a database's newest backup, one by its id, or with --due whatever is due.

    Exit code 7 for damage, forgery, a hole in the log, or a key that is wrong or missing; 1 when
    every byte is genuine but the restored server does not start or an invariant fails. --due reads
    at least every seventh time from a copy; its exit code is the worst of all.
    """
    from sre.core.errors import UsageError  # noqa: PLC0415

    job = job_of(run, store)
    if due:
        if level or sample or store:
            raise UsageError("--due takes level and store from the tier: say nothing else with it")
        return _due(job, target, dry_run, metrics_file, run)
    if target is None:
        raise UsageError("name a database or a backup, or say --due")
    with elsewhere(job, store):
        chosen = _level(job, target, level, sample)
        if dry_run:
            return _would(job, target, chosen, run)
        code = _one(job, target, chosen, sample, run)
    write_metrics_file(metrics_file, job)
    return code


def _level(job: Job, target: str, level: str | None, sample: str | None) -> int:
    from sre.backup.verifying.verify import default_level  # noqa: PLC0415

    if level is None:
        return default_level(job, target) if sample is None else 1
    return int(level)


def _would(job: Job, target: str, level: int, run: Run) -> int:
    found = job.find(target)
    what = f"verify {found.place.id} in {found.declared.store_name} at level {level}"
    would(run, what, id=found.place.id)
    return 0


def _one(job: Job, target: str, level: int, sample: str | None, run: Run) -> int:
    from sre.backup.render import verification_as_json, verification_as_text  # noqa: PLC0415
    from sre.backup.verifying.judging import parse_sample  # noqa: PLC0415
    from sre.backup.verifying.verify import verify  # noqa: PLC0415  only when it runs

    part = None if sample is None else parse_sample(sample)
    with bar(f"verifying {target} at level {level}", run) as start:
        result = verify(
            job, target, level, sample=part, progress=lambda chain: start(chain.read_bytes)
        )
    run.emit(verification_as_json(result) if run.format == "json" else verification_as_text(result))
    return result.exit_code


def _due(job: Job, db: str | None, dry_run: bool, metrics_file: Path | None, run: Run) -> int:
    from sre.backup.verifying.due import verify_due, worst  # noqa: PLC0415
    from sre.backup.verifying.render import due_as_json, due_as_text  # noqa: PLC0415

    names = () if db is None else (db,)
    with bar("verifying what is due", run) as start:
        outcomes = verify_due(
            job, names, dry_run=dry_run, progress=lambda _db, chain: start(chain.read_bytes)
        )
    if not dry_run:
        write_metrics_file(metrics_file, job)
    run.emit(due_as_json(outcomes) if run.format == "json" else due_as_text(outcomes))
    return worst(outcomes)
