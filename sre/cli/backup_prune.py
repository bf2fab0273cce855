"""`sre backup prune`, `hold`, `release`: what goes, what stays, and why."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from sre.cli.backup_parts import from_option, job_of, would
from sre.cli.options import Run, common_options

__all__ = ["hold_command", "prune_command", "release_command"]


@click.command("prune")
@click.argument("databases", nargs=-1, metavar="[DB…]")
@click.option("--yes", is_flag=True, help="Delete. Without it the plan is shown, nothing else.")
@click.option(
    "--confirm-count", type=click.IntRange(min=0), metavar="N",
    help="How many backups are to go; needed when it is more than 30 % of a database's.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Show the plan, whatever else is said.")
@click.option(
    "--metrics-file", type=click.Path(path_type=Path), metavar="FILE",
    help="Also write sre_backup_… for node_exporter's textfile collector.",
)  # fmt: skip
@common_options
def prune_command(
    databases: tuple[str, ...],
    yes: bool,
    confirm_count: int | None,
    dry_run: bool,
    metrics_file: Path | None,
    run: Run,
) -> int:
    """Delete the backups that the tier's `keep:` lets go; every one stands in the plan with why.

    Without --yes nothing is deleted: on a terminal the plan is shown (exit code 0); a scheduler
    that forgot it gets 5 when something was to go. 5 also when a guard stops what was to go.
    """
    from sre.backup.pruning.prune import blocked, plan_prune, prune  # noqa: PLC0415  when it runs
    from sre.backup.pruning.render import plan_as_json, plan_as_text  # noqa: PLC0415

    job, dry = job_of(run), dry_run or not yes
    done = plan_prune(job, databases) if dry else prune(job, databases, confirmed=confirm_count)
    render = plan_as_json if run.format == "json" else plan_as_text
    run.emit(render(done, dry_run=dry))
    if metrics_file is not None and not dry:
        from sre.backup.metrics import write_metrics  # noqa: PLC0415

        write_metrics(metrics_file, job.facts)
    if not dry:
        return _stopped([f"{name}: {reason.text}" for name, reason in blocked(done)])
    waiting = [each.name for each in done if each.plan.those("delete")]
    if dry_run or sys.stdout.isatty() or not waiting:
        return 0
    return _stopped([f"nothing was deleted of {', '.join(waiting)}: --yes is missing"])


def _stopped(why: list[str]) -> int:
    for each in why:
        click.echo(f"error: {each}", err=True)
    return 5 if why else 0


@click.command("hold")
@click.argument("id", metavar="ID")
@click.option("--reason", required=True, help="Why; it stands in every plan until the release.")
@from_option
@click.option("--dry-run", is_flag=True, help="Check that there is such a backup.")
@common_options
def hold_command(
    id: str,  # noqa: A002  the argument's name
    reason: str,
    store: str | None,
    dry_run: bool,
    run: Run,
) -> int:
    """Keep a backup, and what it builds on, whatever the policy says.

    The next copy of it is held too; release it in each store (--from).
    """
    from sre.backup.pruning.marks import hold  # noqa: PLC0415  only when it runs
    from sre.backup.pruning.render import hold_as_json  # noqa: PLC0415

    job = job_of(run, store)
    if dry_run:
        found = job.find(id).place.id
        would(run, f"hold {found}", id=found)
        return 0
    held = hold(job, id, reason)
    if run.format == "json":
        run.emit(hold_as_json(held, release=False, backup=held.id))
    elif held.new:
        run.emit(f"{held.id} is held: {held.reason}")
    else:
        run.emit(f"{held.id} was held already, by {held.by} at {held.at}: {held.reason}")
    return 0


@click.command("release")
@click.argument("id", metavar="ID")
@from_option
@click.option("--dry-run", is_flag=True, help="Check that there is such a backup.")
@common_options
def release_command(id: str, store: str | None, dry_run: bool, run: Run) -> int:  # noqa: A002
    """Let retention judge a held backup again."""
    from sre.backup.pruning.marks import release  # noqa: PLC0415  only when it runs
    from sre.backup.pruning.render import hold_as_json  # noqa: PLC0415

    job = job_of(run, store)
    place = job.find(id).place
    if dry_run:
        would(run, f"release {place.id}", id=place.id)
        return 0
    held = release(job, id)
    if run.format == "json":
        run.emit(hold_as_json(held, release=True, backup=place.id))
    else:
        run.emit(
            f"{place.id} " + ("was not held" if held is None else f"is released ({held.reason})")
        )
    return 0
