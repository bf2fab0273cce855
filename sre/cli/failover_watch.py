"""`sre failover watch`: stand by, ask when the primary is gone, and fail over at once."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sre.cli.failover_parts import confirmed, emit_result, job_of
from sre.cli.options import Run, common_options

if TYPE_CHECKING:
    from sre.failover.job import Planned

__all__ = ["watch_command"]

_ASKED_SECONDS = 300.0


@click.command("watch")
@click.argument("cluster", required=False)
@click.option("--once", is_flag=True, help="End after one failover, with its exit code.")
@click.option(
    "--auto", is_flag=True,
    help="Ask nobody, where the old primary can be fenced for certain; refused elsewhere.",
)  # fmt: skip
@click.option(
    "--confirm-with", metavar="PROGRAM",
    help="Ask this program: it reads the plan as JSON, and says yes by exit code 0.",
)  # fmt: skip
@click.option("--patience", type=click.IntRange(min=1), default=3, show_default=True,
              help="So many looks in a row must agree that the primary is gone.")  # fmt: skip
@click.option("--accept-data-loss", metavar="REASON", default="", help="As for failover.")
@click.option(
    "--metrics-file", type=click.Path(path_type=Path), metavar="FILE",
    help="Write sre_failover_… for node_exporter's textfile collector with every look.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Say what would be done when it is time; end there.")
@common_options
def watch_command(  # noqa: PLR0913  one for each option
    *,
    cluster: str | None,
    once: bool,
    auto: bool,
    confirm_with: str | None,
    patience: int,
    accept_data_loss: str,
    metrics_file: Path | None,
    dry_run: bool,
    run: Run,
) -> int:
    """Look at a cluster all the time; when its primary is gone, ask, and fail over at once.

    On a terminal the name of the primary is typed. Elsewhere say --auto or --confirm-with.
    """
    from sre.failover.engine import Wish  # noqa: PLC0415  only when it runs
    from sre.failover.metrics import Writer  # noqa: PLC0415
    from sre.failover.watching import Patience, watch  # noqa: PLC0415

    agree = _asking(run, auto=auto, program=confirm_with, dry=dry_run)
    with job_of(run, cluster) as job:
        see = Writer(metrics_file, job.facts, job.clock).see
        wish = Wish("failover", accept_data_loss=accept_data_loss)
        click.echo(f"watching {job.declared.name}", err=True)
        while True:
            result = watch(job, wish, Patience(patience), agree, _say, see)
            if result is not None:
                code = emit_result(run, result)
            if dry_run or (once and result is not None):
                return code if result is not None else 5


def _say(line: str) -> None:
    click.echo(line, err=True)


def _asking(run: Run, *, auto: bool, program: str | None, dry: bool) -> Any:
    """Who agrees. Raises UsageError when nobody can."""
    from sre.core.errors import Refused, UsageError  # noqa: PLC0415
    from sre.failover.watching import auto as surely  # noqa: PLC0415

    def would(planned: Planned) -> None:
        from sre.failover.render import plan_as_text  # noqa: PLC0415

        run.emit(plan_as_text(planned.decision, planned.steps))
        raise Refused("a dry run touches nothing")

    if dry:
        return would
    if program is not None:
        return lambda planned: _ask(program, planned)
    if auto:
        return surely
    if not sys.stdin.isatty():
        raise UsageError("nobody can be asked here; say --auto or --confirm-with PROGRAM")
    return lambda planned: confirmed(run, planned, None)


def _ask(program: str, planned: Planned) -> None:
    """Let a program decide. Raises Refused."""
    from sre.core.clock import Deadline  # noqa: PLC0415
    from sre.core.errors import Refused  # noqa: PLC0415
    from sre.core.process import run as run_program  # noqa: PLC0415
    from sre.failover.render import plan_as_json  # noqa: PLC0415

    content = json.loads(plan_as_json(planned.decision, planned.steps))
    done = run_program([program], Deadline.after(_ASKED_SECONDS), input=json.dumps(content))
    if not done.ok:
        raise Refused(f"{program} said no (exit code {done.returncode}) {done.stderr.strip()}")
