"""`sre backup restore` into a server, or of a logical dump; the rest is in backup_restore."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sre.cli.backup_parts import bar, would
from sre.cli.options import Run
from sre.core.errors import UsageError

if TYPE_CHECKING:
    from sre.backup.job import Job
    from sre.backup.logical.restore import Into

__all__ = ["restored_elsewhere"]

_PHYSICAL = (
    "at", "lsn", "restore_point", "before_order", "latest", "inclusive", "timeline", "owner",
    "port", "no_recover", "tablespace_map",
)  # fmt: skip


def restored_elsewhere(
    job: Job, target: str, to: str, options: Mapping[str, Any], run: Run
) -> int | None:
    """Restore what is not a physical backup into a folder; None when it is just that."""
    from sre.backup.logical.address import secret_of  # noqa: PLC0415  only when it runs
    from sre.backup.logical.restore import Into, is_logical  # noqa: PLC0415

    tables, mask, dry_run = options["tables"], options["mask"], options["dry_run"]
    dsn = secret_of(to, job.backups.databases)
    if dsn is None and (tables or mask):
        raise UsageError(
            "--table and --mask work while rows are loaded into a server: --to env:NAME, db:NAME "
            "or postgresql://USER@HOST/DATABASE"
        )
    if dsn is None and not is_logical(job, target):
        return None
    given = [name for name in _PHYSICAL if options.get(name) not in (None, False, ())]
    if given:
        raise UsageError(_only_in_a_folder(_option(given[0], options), is_logical(job, target)))
    if dsn is not None:
        return _into(job, Into(target, dsn, tables, mask), dry_run=dry_run, run=run)
    if to == "-":
        raise UsageError("a logical dump goes to a folder or a server: --to DIR or --to DSN")
    return _files(job, target, Path(to), dry_run=dry_run, run=run)


def _option(name: str, options: Mapping[str, Any]) -> str:
    """As it was written."""
    if name == "inclusive":
        return "--inclusive" if options[name] else "--exclusive"
    return f"--{name.replace('_', '-')}"


def _only_in_a_folder(option: str, logical: bool) -> str:
    if logical:
        return f"{option} is for physical backups in a folder; a logical dump is of one moment"
    return (
        f"{option} needs a folder: restore with {option} --to DIR, start a server there and copy "
        "the tables over; --table takes them as they were at the end of a backup (say its ID)"
    )


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
    from sre.backup.logical.unpacked import plan_files, restore_files  # noqa: PLC0415
    from sre.backup.render_restored import restored_as_json, restored_as_text  # noqa: PLC0415

    if dry_run:
        manifest = plan_files(job, target, folder).manifest
        would(run, f"restore {manifest.id}, {manifest.source_bytes} bytes, to {folder}")
        return 0
    with bar(f"restoring {target}", run) as start:
        done = restore_files(job, target, folder, progress=lambda chain: start(chain.read_bytes))
    run.emit(restored_as_json(done) if run.format == "json" else restored_as_text(done))
    return 0
