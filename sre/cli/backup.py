"""`sre backup`: take backups, prove them, get them back."""

from __future__ import annotations

import click

from sre.cli.backup_archive import archive_command
from sre.cli.backup_catalogue import catalogue
from sre.cli.backup_copy import copy_command
from sre.cli.backup_doctor import doctor_command
from sre.cli.backup_keys import keys
from sre.cli.backup_parts import elsewhere, from_option, job_of
from sre.cli.backup_prune import hold_command, prune_command, release_command
from sre.cli.backup_restore import restore_command
from sre.cli.backup_run import run_command
from sre.cli.backup_schedule import schedule_command
from sre.cli.backup_verify import verify_command
from sre.cli.options import Run, common_options

__all__ = ["backup"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def backup() -> None:
    """Take encrypted, signed backups; verify them by restoring; get them back."""


@backup.command("list")
@click.argument("db", required=False)
@from_option
@common_options
def list_command(db: str | None, store: str | None, run: Run) -> int:
    """List committed backups, oldest first, and how deeply each was verified.

    Exit code 3 when a manifest is there that does not count: damaged, or not signed by a trusted
    key.
    """
    from sre.backup.listing import list_backups  # noqa: PLC0415  only when it runs
    from sre.backup.render import list_as_json, list_as_text  # noqa: PLC0415

    job = job_of(run, store)
    with elsewhere(job, store):
        backups, faults = list_backups(job, db)
    render = list_as_json if run.format == "json" else list_as_text
    run.emit(render(backups, faults))
    return 3 if faults else 0


@backup.command("show")
@click.argument("id", metavar="ID")
@from_option
@common_options
def show_command(id: str, store: str | None, run: Run) -> int:  # noqa: A002  the argument's name
    """Show one backup: where it is, what opens it, to which moment it restores."""
    from sre.backup.listing import show_backup  # noqa: PLC0415  only when it runs
    from sre.backup.render import backup_as_json, backup_as_text  # noqa: PLC0415

    job = job_of(run, store)
    with elsewhere(job, store):
        shown = show_backup(job, id)
    run.emit(backup_as_json(*shown) if run.format == "json" else backup_as_text(*shown))
    return 0


backup.add_command(run_command)
backup.add_command(verify_command)
backup.add_command(restore_command)
backup.add_command(copy_command)
backup.add_command(schedule_command)
backup.add_command(doctor_command)
backup.add_command(prune_command)
backup.add_command(hold_command)
backup.add_command(release_command)
backup.add_command(keys)
backup.add_command(catalogue)
backup.add_command(archive_command)
