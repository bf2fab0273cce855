"""`sre backup keys rewrap` and `shred`: other keys for backups that exist, or none for ever."""

from __future__ import annotations

import click

from sre.cli.backup_parts import bar, job_of
from sre.cli.options import Run, common_options
from sre.core.errors import Refused

__all__ = ["rewrap_command", "shred_command"]


@click.command("rewrap")
@click.argument("targets", nargs=-1, metavar="[DB|ID…]")
@click.option(
    "--revoke", is_flag=True,
    help="Delete the older forms, so that recipients left out of sre.yaml open no more.",
)  # fmt: skip
@click.option(
    "--everywhere", is_flag=True, help="Also in the stores that the tier's `copies` name."
)
@click.option("--dry-run", is_flag=True, help="Say which keys would be wrapped again.")
@common_options
def rewrap_command(
    targets: tuple[str, ...], revoke: bool, everywhere: bool, dry_run: bool, run: Run
) -> int:
    """Let exactly the `recipients` of sre.yaml open existing backups; their data stays as it is.

    Needs keys.identity (to open) and keys.signing. Interrupted, every backup still opens; run it
    again. Exit code 7 when a key does not open here, 3 when a lock keeps an older form or a
    manifest does not count.
    """
    from sre.backup.keyring.render import rewrapped_as_json, rewrapped_as_text  # noqa: PLC0415
    from sre.backup.keyring.rewrap import rewrap  # noqa: PLC0415  only when it runs

    with bar("wrapping keys", run) as start:
        done, faults, notes = rewrap(
            job_of(run), targets,
            revoke=revoke, everywhere=everywhere, dry_run=dry_run, progress=start,
        )  # fmt: skip
    render = rewrapped_as_json if run.format == "json" else rewrapped_as_text
    run.emit(render(done, faults, notes))
    if any(each.state == "failed" for each in done):
        return 7
    return 3 if faults or any(each.kept for each in done) else 0


@click.command("shred")
@click.argument("ids", nargs=-1, required=True, metavar="ID…")
@click.option("--reason", required=True, help="Why; it stands in the mark that is left.")
@click.option("--with-children", is_flag=True, help="Also whatever builds on these backups.")
@click.option(
    "--everywhere/--here",
    default=None,
    help="All stores of copies must answer, or only the database's own. Default: all that answer.",
)
@click.option("--yes", is_flag=True, help="Do it. Without it the plan is shown, nothing else.")
@click.option("--dry-run", is_flag=True, help="Show the plan, whatever else is said.")
@common_options
def shred_command(
    *,
    ids: tuple[str, ...], reason: str, with_children: bool, everywhere: bool | None, yes: bool,
    dry_run: bool, run: Run,
) -> int:  # fmt: skip
    """Make backups unreadable for ever: their keys are destroyed, a signed mark says why.

    Copies in the stores that the tier's `copies` name go too. Held or locked backups are refused
    (5), as is one that others build on. Exit code 3 when copies still open, or may.
    """
    from sre.backup.keyring.render import (  # noqa: PLC0415  only when it runs
        doomed_as_json,
        doomed_as_text,
        shredded_as_json,
        shredded_as_text,
    )
    from sre.backup.keyring.shred import Where, plan_shred, shred  # noqa: PLC0415

    job, json = job_of(run), run.format == "json"
    words: dict[bool | None, Where] = {None: "reachable", True: "everywhere", False: "here"}
    where = words[everywhere]
    if dry_run or not yes:
        plans = plan_shred(job, ids, children=with_children, where=where)
        run.emit(doomed_as_json(plans) if json else doomed_as_text(plans))
        if dry_run:
            return 0
        raise Refused("nothing was shredded: --yes is missing")
    done = shred(job, ids, reason=reason, children=with_children, where=where)
    run.emit(shredded_as_json(done) if json else shredded_as_text(done))
    return 3 if done.elsewhere else 0
