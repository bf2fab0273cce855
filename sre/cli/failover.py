"""`sre failover`: look at clusters, plan, switch, fail over, rejoin, go on."""

from __future__ import annotations

import json
from typing import Any

import click

from sre.cli.failover_parts import (
    confirm_option,
    confirmed,
    cut_short,
    emit_plan,
    emit_result,
    follow,
    job_of,
)
from sre.cli.failover_pause import pause_command, unpause_command
from sre.cli.failover_rebuild import rebuild_command, resumed_job
from sre.cli.failover_watch import watch_command
from sre.cli.options import Run, common_options

__all__ = ["failover"]

_cluster = click.argument("cluster", required=False)
_to = click.option("--to", metavar="NODE", help="Who shall become primary; the best one without.")
_dry = click.option("--dry-run", is_flag=True, help="Every check and every step; touches nothing.")
_loss = click.option(
    "--accept-data-loss", metavar="REASON", default="",
    help="Go on although acknowledged writes may be lost; the reason is written down.",
)  # fmt: skip


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def failover() -> None:
    """Change the primary of a cluster, on purpose or in need, without losing what was promised."""


@failover.command("status")
@click.argument("clusters", nargs=-1)
@common_options
def status_command(clusters: tuple[str, ...], run: Run) -> int:
    """Who is primary, who follows how far behind, where traffic goes.

    Exit code 1 when a cluster has not exactly one primary, 3 when a node does not answer or
    something else is wrong.
    """
    from sre.cli.failover_parts import declared_of  # noqa: PLC0415  only when it runs
    from sre.core.errors import IntegrityError  # noqa: PLC0415
    from sre.failover.job import Job  # noqa: PLC0415
    from sre.failover.render import status_as_json, status_as_text  # noqa: PLC0415

    names = clusters or tuple(run.settings().switching.clusters) or (None,)
    seen, unfinished, changed = [], {}, None
    for name in names:
        with Job(declared_of(run, name)) as job:
            seen.append(job.look())
            try:
                record = job.unfinished()
            except IntegrityError as error:  # said once everybody has seen how things stand
                record, changed = None, error
            if record is not None:
                unfinished[job.declared.name] = record.id
    render = status_as_json if run.format == "json" else status_as_text
    run.emit(render(seen, unfinished))
    if changed is not None:
        raise changed
    if any(len(each.primaries()) != 1 for each in seen):
        return 1
    troubled = any(
        each.problems or any(n.problems or not n.reachable for n in each.nodes) for each in seen
    )
    return 3 if troubled or unfinished else 0


@failover.command("plan")
@_cluster
@click.option(
    "--action", type=click.Choice(["switchover", "failover", "fence", "rejoin"]),
    default="switchover", show_default=True,
)  # fmt: skip
@_to
@click.option("--node", metavar="NODE", help="Whom to fence or to rejoin.")
@_loss
@common_options
def plan_command(
    cluster: str | None,
    action: Any,
    to: str | None,
    node: str | None,
    accept_data_loss: str,
    run: Run,
) -> int:
    """Make every check that only reads, and show each step; 5 when something stands against it."""
    from sre.failover.engine import Wish  # noqa: PLC0415  only when it runs

    with job_of(run, cluster) as job:
        wish = Wish(action, to=to, node=node, accept_data_loss=accept_data_loss)
        return emit_plan(run, job.plan(wish))


def _operate(run: Run, cluster: str | None, wish: Any, confirm: str | None, *, dry: bool) -> int:
    """Plan it, have it confirmed, do it."""
    with job_of(run, cluster) as job:
        if dry:
            return emit_plan(run, job.plan(wish))
        with cut_short(job):
            result = job.carry_out(wish, follow(run), _asking(run, confirm))
        return emit_result(run, result)


def _asking(run: Run, confirm: str | None) -> Any:
    return lambda planned: confirmed(run, planned, confirm)


@failover.command("switchover")
@_cluster
@_to
@confirm_option
@_dry
@common_options
def switchover_command(
    cluster: str | None, to: str | None, confirm: str | None, dry_run: bool, run: Run
) -> int:
    """Let another node become primary while all is well; nothing acknowledged is lost.

    Exit codes: 0 done, 1 failed and taken back, 5 refused (nothing was touched), 8 look first.
    """
    from sre.failover.engine import Wish  # noqa: PLC0415  only when it runs

    return _operate(run, cluster, Wish("switchover", to=to), confirm, dry=dry_run)


@failover.command("failover")
@_cluster
@_to
@_loss
@confirm_option
@_dry
@common_options
def failover_command(
    cluster: str | None,
    to: str | None,
    accept_data_loss: str,
    confirm: str | None,
    dry_run: bool,
    run: Run,
) -> int:
    """Let another node become primary because the primary is gone; it is fenced first.

    Refused while others still see the primary, and while acknowledged writes may be lost.
    """
    from sre.failover.engine import Wish  # noqa: PLC0415  only when it runs

    wish = Wish("failover", to=to, accept_data_loss=accept_data_loss)
    return _operate(run, cluster, wish, confirm, dry=dry_run)


@failover.command("fence")
@_cluster
@click.argument("node", required=False)
@confirm_option
@_dry
@common_options
def fence_command(
    cluster: str | None, node: str | None, confirm: str | None, dry_run: bool, run: Run
) -> int:
    """Make sure that a node takes no writes, and does not come back by itself."""
    from sre.failover.engine import Wish  # noqa: PLC0415  only when it runs

    cluster, node = _meant(run, cluster, node)
    return _operate(run, cluster, Wish("fence", node=node), confirm, dry=dry_run)


@failover.command("rejoin")
@_cluster
@click.argument("node", required=False)
@confirm_option
@_dry
@common_options
def rejoin_command(
    cluster: str | None, node: str | None, confirm: str | None, dry_run: bool, run: Run
) -> int:
    """Make a former primary a standby again: rewound, or copied anew."""
    from sre.failover.engine import Wish  # noqa: PLC0415  only when it runs

    cluster, node = _meant(run, cluster, node)
    return _operate(run, cluster, Wish("rejoin", node=node), confirm, dry=dry_run)


def _meant(run: Run, cluster: str | None, node: str | None) -> tuple[str | None, str | None]:
    """`CLUSTER NODE`, `NODE` where there is one cluster, or `CLUSTER` and the node is found."""
    if node is None and cluster not in run.settings().switching.clusters:
        return None, cluster
    return cluster, node


@failover.command("resume")
@_cluster
@click.option("--rollback", is_flag=True, help="Take it back; before its point of no return only.")
@click.option("--abandon", metavar="REASON", help="Nobody goes on with it; nothing is touched.")
@click.option("--dry-run", is_flag=True, help="Say what is unfinished.")
@common_options
def resume_command(
    cluster: str | None, rollback: bool, abandon: str | None, dry_run: bool, run: Run
) -> int:
    """Go on with the operation that was killed, or stopped half-way."""
    with job_of(run, cluster) as job:
        if dry_run:
            record = job.unfinished()
            name = None if record is None else record.id
            said = {"schema": "sre.dry-run/1", "would": "resume", "operation": name}
            text = "nothing is unfinished" if name is None else f"unfinished: {name}"
            run.emit(json.dumps(said, indent=2) if run.format == "json" else text)
            return 0
        if abandon is not None:
            return emit_result(run, job.abandon(abandon))
        with cut_short(job), resumed_job(run, job) as going:
            return emit_result(run, going.resume(follow(run), back=rollback))


@failover.command("ack")
@_cluster
@click.option("--reason", default="looked at", help="What was found; it is written down.")
@common_options
def ack_command(cluster: str | None, reason: str, run: Run) -> int:
    """The last failover was looked at: another one may follow at once."""
    with job_of(run, cluster) as job:
        job.acknowledge(reason)
        name = job.declared.name
        said = {"schema": "sre.failover-ack/1", "cluster": name, "reason": reason}
        text = f"the last failover of {name} is acknowledged"
        run.emit(json.dumps(said, indent=2) if run.format == "json" else text)
    return 0


@failover.command("history")
@_cluster
@common_options
def history_command(cluster: str | None, run: Run) -> int:
    """Every operation, newest first; 7 when a record was changed."""
    from sre.failover.render import history_as_json, history_as_text  # noqa: PLC0415

    with job_of(run, cluster) as job:
        found = [(record.id, progress) for record, progress in job.history()]
        render = history_as_json if run.format == "json" else history_as_text
        run.emit(render(job.declared.name, found))
    return 0


failover.add_command(rebuild_command)
failover.add_command(watch_command)
failover.add_command(pause_command)
failover.add_command(unpause_command)
