"""`sre backup archive`: every change reaches the store within seconds."""

from __future__ import annotations

from pathlib import Path

import click

from sre.cli.backup_parts import job_of, metrics_file_option, would, write_metrics_file
from sre.cli.options import Run, common_options
from sre.core.errors import UsageError

__all__ = ["archive_command"]


@click.command("archive")
@click.argument("db")
@click.option("--once", is_flag=True, help="Store what is written by now, and end.")
@click.option("--status", "show", is_flag=True, help="Say how far the log reaches; change nothing.")
@click.option(
    "--push", type=click.Path(path_type=Path), metavar="FILE",
    help="Store one segment: archive_command = 'sre backup archive DB --push %p'.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Check keys, store and server; write nothing.")
@metrics_file_option
@common_options
def archive_command(
    db: str,
    *,
    once: bool,
    show: bool,
    push: Path | None,
    dry_run: bool,
    metrics_file: Path | None,
    run: Run,
) -> int:
    """Follow a database's log and store it, until SIGTERM.

    With --status, exit code 3 when segments are missing or the log is behind. Exit code 7 when
    another server writes the same timeline: nothing is overwritten, somebody has to look.
    """
    from sre.backup.log.service import archive  # noqa: PLC0415  only when it runs
    from sre.core.secrets import redactor  # noqa: PLC0415

    if sum((once, show, push is not None)) > 1:
        raise UsageError("--once, --status and --push exclude each other")
    job = job_of(run)
    if show:
        return _status(db, run)
    if dry_run:
        return _dry_run(db, run)
    if push is not None:
        from sre.backup.log.push import push_segment  # noqa: PLC0415

        _emit(run, db, "stored", push_segment(job, db, push))
        return 0
    reached = archive(
        job,
        db,
        once=once,
        say=lambda text: click.echo(redactor.mask(text), err=True),
        told=lambda: write_metrics_file(metrics_file, job),
    )
    _emit(run, db, "stored", reached)
    return 0


def _dry_run(db: str, run: Run) -> int:
    from sre.backup.log.service import plan_archive  # noqa: PLC0415

    plan = plan_archive(job_of(run), db)
    what = f"archive the log of {db} to {plan.place.folder} with the slot {plan.slot}"
    would(run, what, folder=plan.place.folder, slot=plan.slot)
    return 0


def _status(db: str, run: Run) -> int:
    from sre.backup.log.render import status_as_json, status_as_text  # noqa: PLC0415
    from sre.backup.log.status import log_status  # noqa: PLC0415

    found = log_status(job_of(run), db)
    run.emit(status_as_json(found) if run.format == "json" else status_as_text(found))
    return 0 if found.good else 3


def _emit(run: Run, db: str, word: str, what: str) -> None:
    import json  # noqa: PLC0415

    content = {"schema": "sre.archived/1", "db": db, word: what}
    run.emit(json.dumps(content, indent=2) if run.format == "json" else f"{db}: {word} {what}")
