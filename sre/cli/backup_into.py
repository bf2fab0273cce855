"""`sre backup restore` into a server, or of a logical dump; the rest is in backup_restore."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sre.cli.backup_parts import bar, would
from sre.cli.options import Run
from sre.core.errors import UsageError

if TYPE_CHECKING:
    from sre.backup.job import Job
    from sre.backup.logical.restore import Into

__all__ = ["restored_elsewhere"]


def restored_elsewhere(
    job: Job, target: str, to: str, tables: Sequence[str], *, mask: bool, dry_run: bool, run: Run
) -> int | None:
    """Restore what is not a physical backup into a folder; None when it is just that."""
    from sre.backup.logical.address import secret_of  # noqa: PLC0415  only when it runs
    from sre.backup.logical.restore import Into, is_logical  # noqa: PLC0415

    dsn = secret_of(to, job.backups.databases)
    if dsn is not None:
        return _into(job, Into(target, dsn, tables, mask), dry_run=dry_run, run=run)
    if tables or mask:
        raise UsageError(
            "--table and --mask work while rows are loaded into a server: --to env:NAME, db:NAME "
            "or postgresql://USER@HOST/DATABASE"
        )
    if not is_logical(job, target):
        return None
    return _files(job, target, Path(to), dry_run=dry_run, run=run)


def _into(job: Job, wish: Into, *, dry_run: bool, run: Run) -> int:
    from sre.backup.logical.render import loaded_as_json, loaded_as_text  # noqa: PLC0415
    from sre.backup.logical.restore import restore_into  # noqa: PLC0415

    if dry_run:
        plan = restore_into(job, wish, dry_run=True)
        what = ", ".join(plan.tables) or "everything"
        would(run, f"load {what} of {plan.id}, {plan.bytes} bytes, into {plan.into}", id=plan.id)
        return 0
    with bar(f"restoring {wish.target}", run) as start:
        done = restore_into(job, wish, progress=lambda chain: start(chain.read_bytes))
    run.emit(loaded_as_json(done) if run.format == "json" else loaded_as_text(done))
    return 0


def _files(job: Job, target: str, folder: Path, *, dry_run: bool, run: Run) -> int:
    from sre.backup.logical.unpacked import restore_files  # noqa: PLC0415
    from sre.backup.render_restored import restored_as_json, restored_as_text  # noqa: PLC0415
    from sre.backup.restoring.restore import plan_restore  # noqa: PLC0415

    if dry_run:
        manifest = plan_restore(job, target, folder).manifest
        would(run, f"restore {manifest.id}, {manifest.source_bytes} bytes, to {folder}")
        return 0
    with bar(f"restoring {target}", run) as start:
        done = restore_files(job, target, folder, progress=lambda chain: start(chain.read_bytes))
    run.emit(restored_as_json(done) if run.format == "json" else restored_as_text(done))
    return 0
