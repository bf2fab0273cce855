"""`sre failover rebuild`: a lost cluster comes back on empty nodes, from another store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from sre.cli.backup_parts import job_of as backups_of
from sre.cli.failover_parts import (
    confirm_option,
    confirmed,
    declared_of,
    emit_plan,
    emit_result,
    follow,
)
from sre.cli.options import Run, common_options

if TYPE_CHECKING:
    from sre.failover.job import Job

__all__ = ["rebuild_command", "resumed_job"]


@click.command("rebuild")
@click.argument("cluster", required=False)
@click.option("--from", "store", required=True, metavar="STORE",
              help="The store of sre.yaml that is left, such as one of tier.copies.")  # fmt: skip
@click.option(
    "--database", metavar="DB",
    help="The entry of databases: that the cluster holds; found by name or kind.",
)  # fmt: skip
@click.option(
    "--at", default="", metavar="TIME",
    help="To a time with its zone, 2026-11-22T10:00:00Z; else all that is there.",
)  # fmt: skip
@click.option("--node", metavar="NODE", help="Who is restored and primary first; else the first.")
@confirm_option
@click.option("--dry-run", is_flag=True, help="Every check and every step; touches nothing.")
@common_options
def rebuild_command(
    cluster: str | None,
    *,
    store: str,
    database: str | None,
    at: str,
    node: str | None,
    confirm: str | None,
    dry_run: bool,
    run: Run,
) -> int:
    """Build a lost PostgreSQL cluster anew, on empty nodes, from the store of another region.

    One node is restored to the end of the archived log (or to --at), checked by the database's
    invariants; the others are copied from it; traffic opens last. Refused while any node answers or
    has data. What is missing in it is told. Killed half-way: `sre failover resume`.

    Exit codes: 0 done, 1 failed and taken back, 5 refused (nothing was touched), 8 look first.
    """
    from sre.failover.engine import Wish  # noqa: PLC0415  only when it runs
    from sre.failover.job import Job  # noqa: PLC0415
    from sre.site.engine import rebuilding  # noqa: PLC0415
    from sre.site.source import Source, database_for  # noqa: PLC0415

    declared, backups = declared_of(run, cluster), backups_of(run, store)
    source = Source(backups, database_for(backups, declared, database), at)
    source.wish()  # a time that cannot be read is told before anything is asked
    with Job(rebuilding(declared, source, fresh=True)) as job:
        wish = Wish("rebuild", node=node)
        if dry_run:
            return emit_plan(run, job.plan(wish))
        return emit_result(
            run, job.carry_out(wish, follow(run), lambda plan: confirmed(run, plan, confirm))
        )


def resumed_job(run: Run, job: Job) -> Job:
    """`job`, or one that knows how to go on with the rebuilding that is unfinished.

    Raises UsageError: sre.yaml does not declare the store or database any more.
    """
    record = job.unfinished()
    decision = record.read().decision if record is not None else None
    if decision is None or decision.action != "rebuild":
        return job
    from sre.failover.job import Job as Made  # noqa: PLC0415  only when it runs
    from sre.site.engine import rebuilding  # noqa: PLC0415
    from sre.site.source import Source  # noqa: PLC0415

    about: Any = decision.facts["source"]
    source = Source(backups_of(run, about["store"]), about["database"], about["at"])
    return Made(rebuilding(job.declared, source, fresh=False))
