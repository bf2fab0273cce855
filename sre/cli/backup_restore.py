"""`sre backup restore`: get it back."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sre.cli.backup_into import restored_elsewhere
from sre.cli.backup_parts import bar, elsewhere, job_of, would
from sre.cli.options import Run, common_options

if TYPE_CHECKING:
    from sre.backup.job import Job
    from sre.backup.restoring.restore import Wish

__all__ = ["restore_command"]


@click.command("restore")
@click.argument("target", metavar="DB|ID")
@click.option(
    "--to", required=True, metavar="DIR|DSN",
    help="A new or empty folder; it appears complete and checked, or not at all. "
    "-: a tar to standard output. env:NAME, db:NAME, postgresql://…: rows, into that database.",
)  # fmt: skip
@click.option("--table", "tables", multiple=True, help="Only this table, into a server; repeat it.")
@click.option("--mask", is_flag=True, help="Apply the database's mask: rules before any row shows.")
@click.option("--at", metavar="TIME", help="To a time with its zone: 2026-11-22T10:00:00Z.")
@click.option("--lsn", metavar="LSN", help="To a position of the log: 1/6B3F00A8.")
@click.option("--restore-point", metavar="NAME", help="To the newest restore point of that name.")
@click.option("--before-order", metavar="ID", help="To just before that order was committed.")
@click.option("--latest", is_flag=True, help="To the end of what is archived (default for a DB).")
@click.option(
    "--inclusive/--exclusive", default=None,
    help="With --at and --lsn: whether what committed exactly then is in it (yes).",
)  # fmt: skip
@click.option("--timeline", type=int, metavar="N", help="Follow the log to this timeline.")
@click.option("--from", "store", metavar="STORE", help="Take it from another store of sre.yaml.")
@click.option(
    "--tablespace-map", multiple=True, metavar="OID|OLD=DIR",
    help="Put this tablespace into a new folder, by a link; else it is inside. Repeat it.",
)  # fmt: skip
@click.option("--owner", metavar="USER", help="Give the files to this user (root only).")
@click.option("--port", type=click.IntRange(1, 65535), help="In its configuration (a free one).")
@click.option(
    "--no-recover", is_flag=True, help="Leave the replay of the log to the server you start."
)
@click.option("--dry-run", is_flag=True, help="Check backup, key, log and target; write nothing.")
@common_options
def restore_command(target: str, to: str, run: Run, **options: Any) -> int:
    """Restore a database, or one backup by its id, into a folder: whole, or to a moment.

    A database goes to the end of its archived log, a backup to its own end, unless told. Exit code
    3 when a hole in the log ended it; 5 when the moment cannot be reached.
    """
    job, wish = job_of(run).at(options["store"]), _wish(options)
    with elsewhere(job, options["store"]):
        code = restored_elsewhere(job, target, to, options, run)
        return _restored(job, target, Path(to), wish, options, run) if code is None else code


def _restored(
    job: Job, target: str, folder: Path, wish: Wish, options: dict[str, Any], run: Run
) -> int:
    """A physical backup, into a folder or as a tar."""
    from sre.backup.render_restored import restored_as_json, restored_as_text  # noqa: PLC0415
    from sre.backup.restoring.restore import restore_to  # noqa: PLC0415  only when it runs
    from sre.backup.restoring.streaming import restore_as_tar  # noqa: PLC0415

    if options["dry_run"]:
        _would(job, target, folder, wish, run)
        return 0
    with bar(f"restoring {target}", run) as start:
        if str(folder) == "-":
            done = restore_as_tar(
                job, target, sys.stdout.fileno(), wish,
                progress=lambda chain: start(chain.read_bytes),
            )  # fmt: skip
        else:
            done = restore_to(
                job, target, folder, wish=wish, progress=lambda chain: start(chain.read_bytes)
            )
    text = restored_as_json(done) if run.format == "json" else restored_as_text(done)
    if str(folder) == "-":
        click.echo(text, err=True)
    else:
        run.emit(text)
    return done.exit_code


def _wish(options: dict[str, Any]) -> Wish:
    from sre.backup.recovery.target import parse_target  # noqa: PLC0415  only when it runs
    from sre.backup.restoring.landing import uid_of  # noqa: PLC0415
    from sre.backup.restoring.restore import Wish  # noqa: PLC0415
    from sre.backup.restoring.spaces import parse_spaces  # noqa: PLC0415

    names = ("at", "lsn", "restore_point", "before_order", "latest", "inclusive", "timeline")
    aim = parse_target(**{name: options[name] for name in names})
    spaces = parse_spaces(options["tablespace_map"])
    return Wish(aim, uid_of(options["owner"]), options["port"], not options["no_recover"], spaces)


def _would(job: Job, target: str, folder: Path, wish: Wish, run: Run) -> None:
    from sre.backup.restoring.restore import plan_route  # noqa: PLC0415  only when it runs

    streamed = str(folder) == "-"
    routes, route, chain = plan_route(job, target, None if streamed else folder, wish)
    manifest = chain.manifest
    where = "standard output" if streamed else str(folder)
    pieces = len(route.cover.items) if route.cover and routes.aim.replays else 0
    log = f" and {pieces} segments of log" if pieces else ""
    would(
        run,
        f"restore {manifest.id}, {manifest.source_bytes} bytes{log}, to {where}: {routes.aim}",
        id=manifest.id,
        target=str(routes.aim),
    )
