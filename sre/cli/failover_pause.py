"""`sre failover pause|unpause`: what fails over by itself keeps its hands off, or no longer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from sre.cli.failover_parts import job_of
from sre.cli.options import Run, common_options

if TYPE_CHECKING:
    from sre.failover.maintenance import Change

__all__ = ["pause_command", "unpause_command"]

_cluster = click.argument("cluster", required=False)
_reason = click.option(
    "--reason", default="", metavar="TEXT", help="Why; `sre failover status` shows who paused it."
)
_timeout = click.option(
    "--timeout", type=click.FloatRange(min=1), default=60.0, show_default=True, metavar="SECONDS",
    help="So long every member has to hear it.",
)  # fmt: skip
_dry = click.option("--dry-run", is_flag=True, help="Say what each member says; touches nothing.")


@click.command("pause")
@_cluster
@_reason
@_timeout
@_dry
@common_options
def pause_command(cluster: str | None, reason: str, timeout: float, dry_run: bool, run: Run) -> int:
    """Let Patroni fail over to nobody until `unpause` (its maintenance mode).

    Exit codes: 0 every member says so, 4 not every member has heard it, 1 Patroni refused.
    """
    return _change(run, cluster, reason, timeout, on=True, dry=dry_run)


@click.command("unpause")
@_cluster
@_reason
@_timeout
@_dry
@common_options
def unpause_command(
    cluster: str | None, reason: str, timeout: float, dry_run: bool, run: Run
) -> int:
    """Let Patroni fail over by itself again."""
    return _change(run, cluster, reason, timeout, on=False, dry=dry_run)


def _change(
    run: Run, cluster: str | None, reason: str, timeout: float, *, on: bool, dry: bool
) -> int:
    from sre.failover.maintenance import (  # noqa: PLC0415  only when it runs
        Change,
        change_maintenance,
        look_at_maintenance,
    )

    with job_of(run, cluster) as job:
        if dry:
            nodes = look_at_maintenance(job)
            would = any(each is not None and each != on for each in nodes.values())
            run.emit(_shown(run, Change(job.declared.name, on, would, nodes), dry=True))
            return 0
        done = change_maintenance(job, on, reason, timeout)
        run.emit(_shown(run, done, dry=False))
    return 0


def _shown(run: Run, change: Change, *, dry: bool) -> str:
    if run.format == "json":
        content = {
            "schema": "sre.failover-pause/1", "cluster": change.cluster, "paused": change.on,
            "changed": change.changed, "planned": dry, "nodes": dict(change.nodes),
        }  # fmt: skip
        return json.dumps(content, indent=2)
    state = "paused" if change.on else "no longer paused"
    verb = "would be" if dry and change.changed else "is"
    lines = [f"{change.cluster} {verb} {state}" + ("" if change.changed else " already")]
    words = {True: "paused", False: "not paused", None: "does not answer"}
    lines += [f"  {name}  {words[said]}" for name, said in change.nodes.items()]
    return "\n".join(lines)
