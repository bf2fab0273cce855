"""`sre backup restore`: get it back."""

from __future__ import annotations

from pathlib import Path

import click

from sre.cli.backup_parts import bar, job_of, would
from sre.cli.options import Run, common_options

__all__ = ["restore_command"]


@click.command("restore")
@click.argument("target", metavar="DB|ID")
@click.option(
    "--to", "folder", required=True, type=click.Path(path_type=Path), metavar="DIR",
    help="A new or empty folder; it appears complete and checked, or not at all.",
)  # fmt: skip
@click.option("--owner", metavar="USER", help="Give the files to this user (root only).")
@click.option("--dry-run", is_flag=True, help="Check backup, key and target; write nothing.")
@common_options
def restore_command(target: str, folder: Path, owner: str | None, dry_run: bool, run: Run) -> int:
    """Restore a database's newest backup, or one by its id, into a folder."""
    from sre.backup.render import restored_as_json, restored_as_text  # noqa: PLC0415
    from sre.backup.restoring.landing import uid_of  # noqa: PLC0415  only when it runs
    from sre.backup.restoring.restore import plan_restore, restore_to  # noqa: PLC0415

    job, uid = job_of(run), uid_of(owner)
    if dry_run:
        manifest = plan_restore(job, target, folder).manifest
        would(run, f"restore {manifest.id}, {manifest.source_bytes} bytes, to {folder}")
        return 0
    with bar(f"restoring {target}", run) as start:
        done = restore_to(
            job, target, folder, owner=uid, progress=lambda chain: start(chain.read_bytes)
        )
    run.emit(restored_as_json(done) if run.format == "json" else restored_as_text(done))
    return 0
