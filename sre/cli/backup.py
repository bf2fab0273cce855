"""`sre backup`: take backups, prove them, get them back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sre.cli.backup_doctor import doctor_command
from sre.cli.backup_prune import hold_command, prune_command, release_command
from sre.cli.options import Run, common_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from sre.backup.job import Job

__all__ = ["backup", "job_of"]

_metrics_file = click.option(
    "--metrics-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also write sre_backup_… for node_exporter's textfile collector.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def backup() -> None:
    """Take encrypted, signed backups; verify them by restoring; get them back."""


@backup.command("run")
@click.argument("db")
@click.option(
    "--kind", type=click.Choice(["full"]), default="full", show_default=True, help="What to take."
)
@click.option("--dry-run", is_flag=True, help="Check keys, store and database; write nothing.")
@_metrics_file
@common_options
def run_command(db: str, kind: str, dry_run: bool, metrics_file: Path | None, run: Run) -> int:  # noqa: ARG001  one kind so far
    """Back up a database now. Until the last moment nothing is listed; then all of it is."""
    from sre.backup.listing import show_backup  # noqa: PLC0415  only when it runs
    from sre.backup.render import backup_as_json, backup_as_text  # noqa: PLC0415
    from sre.backup.runner import plan_backup, run_backup  # noqa: PLC0415

    job = job_of(run)
    if dry_run:
        plan = plan_backup(job, db)
        job.catalogue(plan.declared).places(db)
        what = f"{plan.source.engine} {plan.source.version}, about {plan.source.bytes} bytes"
        _would(run, f"back up {db} ({what}) to {plan.place.folder}", id=plan.place.id)
        return 0
    try:
        with _bar(f"backing up {db}", run) as start:
            manifest = run_backup(job, db, progress=lambda source: start(source.bytes))
    finally:
        _write_metrics(metrics_file, job)
    shown = show_backup(job, manifest.id)
    run.emit(backup_as_json(*shown) if run.format == "json" else backup_as_text(*shown))
    return 0


@backup.command("list")
@click.argument("db", required=False)
@common_options
def list_command(db: str | None, run: Run) -> int:
    """List committed backups, oldest first, and how deeply each was verified.

    Exit code 3 when a manifest is there that does not count: damaged, or not signed by a trusted
    key.
    """
    from sre.backup.listing import list_backups  # noqa: PLC0415  only when it runs
    from sre.backup.render import list_as_json, list_as_text  # noqa: PLC0415

    backups, faults = list_backups(job_of(run), db)
    render = list_as_json if run.format == "json" else list_as_text
    run.emit(render(backups, faults))
    return 3 if faults else 0


@backup.command("show")
@click.argument("id", metavar="ID")
@common_options
def show_command(id: str, run: Run) -> int:  # noqa: A002  the argument's name
    """Show one backup: where it is, what opens it, to which moment it restores."""
    from sre.backup.listing import show_backup  # noqa: PLC0415  only when it runs
    from sre.backup.render import backup_as_json, backup_as_text  # noqa: PLC0415

    shown = show_backup(job_of(run), id)
    run.emit(backup_as_json(*shown) if run.format == "json" else backup_as_text(*shown))
    return 0


@backup.command("verify")
@click.argument("target", metavar="DB|ID")
@click.option(
    "--level",
    type=click.Choice(["0", "1", "3"]),
    help="0 signature and sizes; 1 every byte; 3 a restored server. Default: the tier's, else 1.",
)
@_metrics_file
@common_options
def verify_command(target: str, level: str | None, metrics_file: Path | None, run: Run) -> int:
    """Verify a database's newest backup, or one by its id.

    Exit code 7 for damage, forgery, or a key that is wrong or missing; 1 when every byte is genuine
    but the restored server does not start or an invariant fails.
    """
    from sre.backup.render import verification_as_json, verification_as_text  # noqa: PLC0415
    from sre.backup.verify import default_level, verify  # noqa: PLC0415  only when it runs

    job = job_of(run)
    chosen = default_level(job, target) if level is None else int(level)
    with _bar(f"verifying {target} at level {chosen}", run) as start:
        found = verify(job, target, chosen, progress=lambda manifest: start(manifest.source_bytes))
    _write_metrics(metrics_file, job)
    run.emit(verification_as_json(found) if run.format == "json" else verification_as_text(found))
    return found.exit_code


@backup.command("restore")
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
    from sre.backup.restore import plan_restore, restore_to, uid_of  # noqa: PLC0415

    job, uid = job_of(run), uid_of(owner)
    if dry_run:
        manifest = plan_restore(job, target, folder).manifest
        _would(run, f"restore {manifest.id}, {manifest.source_bytes} bytes, to {folder}")
        return 0
    with _bar(f"restoring {target}", run) as start:
        done = restore_to(
            job, target, folder, owner=uid, progress=lambda manifest: start(manifest.source_bytes)
        )
    run.emit(restored_as_json(done) if run.format == "json" else restored_as_text(done))
    return 0


backup.add_command(doctor_command)
for each_command in (prune_command, hold_command, release_command):
    backup.add_command(each_command)


@backup.group("keys")
def keys() -> None:
    """The keys that encrypt and sign."""


@keys.command("new")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), metavar="DIR",
    help="Where the four files go; none of them may exist.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Say which files would be made.")
@common_options
def keys_new_command(out: Path, dry_run: bool, run: Run) -> int:
    """Make a key pair that encrypts and one that signs, and say what goes into sre.yaml."""
    from sre.backup.keys import new_keys  # noqa: PLC0415  only when it runs

    if dry_run:
        _would(run, f"make {out}/identity, identity.pub, signing and signing.pub")
        return 0
    made = new_keys(out)
    if run.format == "json":
        files = {name: str(out / name) for name in ("identity", "signing")}
        content: dict[str, Any] = {"recipient": made.recipient, "trusted": made.trusted, **files}
        run.emit(json.dumps({"schema": "sre.keys/1", **content}, indent=2))
    else:
        run.emit(_for_the_file(made.recipient, made.trusted, out.absolute()))
    return 0


def _would(run: Run, what: str, **more: str) -> None:
    """What a dry run says."""
    content = {"schema": "sre.dry-run/1", "would": what, **more}
    run.emit(json.dumps(content, indent=2) if run.format == "json" else f"would {what}")


def _for_the_file(recipient: str, trusted: str, folder: Path) -> str:
    return f"""\
keys:
  recipients: [{recipient}]
  trusted: ["{trusted}"]
  signing: "${{file:{folder}/signing}}"     # on backup hosts
  identity: "${{file:{folder}/identity}}"   # on hosts that verify and restore
# Keep a copy of {folder}/identity away from here: without it no backup opens."""


def job_of(run: Run) -> Job:
    """What the declaration means to backups."""
    from sre.backup.job import Job  # noqa: PLC0415  only when it runs
    from sre.backup.model import Backups  # noqa: PLC0415

    settings: Any = run.settings()
    return Job(Backups(settings.stores, settings.tiers, settings.keys, settings.databases))


def _write_metrics(path: Path | None, job: Job) -> None:
    from sre.backup.metrics import write_metrics  # noqa: PLC0415

    if path is not None:
        write_metrics(path, job.facts)


class _bar:  # noqa: N801  used like a function
    """A progress bar whose length is known only once the work has begun."""

    def __init__(self, label: str, run: Run) -> None:
        from contextlib import ExitStack  # noqa: PLC0415

        self._label, self._run, self._stack = label, run, ExitStack()

    def __enter__(self) -> Callable[[int], Callable[[int], None]]:
        from sre.core.console import progress  # noqa: PLC0415  only when something is drawn

        self._stack.__enter__()
        return lambda total: self._stack.enter_context(
            progress(total, self._label, enabled=self._run.progress)
        )

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)
