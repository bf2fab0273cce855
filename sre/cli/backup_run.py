"""`sre backup run`: take a backup now."""

from __future__ import annotations

from pathlib import Path

import click

from sre.cli.backup_parts import bar, job_of, metrics_file_option, would, write_metrics_file
from sre.cli.options import Run, common_options

__all__ = ["run_command"]


@click.command("run")
@click.argument("db")
@click.option(
    "--kind",
    type=click.Choice(["full", "differential", "incremental"]),
    default="full",
    show_default=True,
    help="Everything; what changed since the newest full one; or since the newest one.",
)
@click.option("--dry-run", is_flag=True, help="Check keys, store and database; write nothing.")
@metrics_file_option
@common_options
def run_command(db: str, kind: str, dry_run: bool, metrics_file: Path | None, run: Run) -> int:
    """Back up a database now. Until the last moment nothing is listed; then all of it is."""
    from sre.backup.listing import just_made  # noqa: PLC0415  only when it runs
    from sre.backup.render import backup_as_json, backup_as_text  # noqa: PLC0415
    from sre.backup.runner import plan_backup, run_backup  # noqa: PLC0415

    job = job_of(run)
    if dry_run:
        plan = plan_backup(job, db, kind)
        job.catalogue(plan.declared).places(db)
        what = f"{plan.source.engine} {plan.source.version}, about {plan.source.bytes} bytes"
        parent, reason = plan.choice.parent, plan.choice.reason
        more = {"parent": parent.id} if parent else {}
        more |= {"full_because": reason} if reason else {}
        on = f", on {parent.id}" if parent else ""
        on += f"; a full one, because {reason}" if reason else ""
        where = f"to {plan.place.folder}{on}"
        would(
            run, f"back up {db} ({what}) {where}", id=plan.place.id, kind=plan.choice.kind, **more
        )
        return 0
    try:
        with bar(f"backing up {db}", run) as start:
            manifest = run_backup(job, db, kind, progress=lambda source: start(source.bytes))
    finally:
        write_metrics_file(metrics_file, job)
    shown = just_made(job, manifest)
    run.emit(backup_as_json(*shown) if run.format == "json" else backup_as_text(*shown))
    return 0
