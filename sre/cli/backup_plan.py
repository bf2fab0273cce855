"""`sre backup plan`: are the promises kept?"""

from __future__ import annotations

import click

from sre.cli.backup_parts import from_option, job_of
from sre.cli.options import Run, common_options

__all__ = ["plan_command"]


@click.command("plan")
@click.argument("databases", nargs=-1, metavar="[DB…]")
@from_option
@common_options
def plan_command(databases: tuple[str, ...], store: str | None, run: Run) -> int:
    """Hold each database's tier against what was measured; say what runs next, and sizes.

    Exit code 1 when a measured RTO or RPO misses its tier, 4 when a store does not answer, 3 when
    one was never measured.
    """
    from sre.backup.scheduling.plan import plan_backups, worst  # noqa: PLC0415  when it runs
    from sre.backup.scheduling.render import plans_as_json, plans_as_text  # noqa: PLC0415

    plans = plan_backups(job_of(run, store), databases)
    run.emit(plans_as_json(plans) if run.format == "json" else plans_as_text(plans))
    for each in plans:
        for promise in each.promises:
            if promise.state == "missed":
                click.echo(
                    f"error: {each.db}: {promise.what} misses tier {each.tier}: {promise.why}",
                    err=True,
                )
    return worst(plans)
