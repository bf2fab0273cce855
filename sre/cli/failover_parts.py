"""What do the commands on clusters share: which cluster, who confirms, who follows?"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from sre.cli.options import Run

if TYPE_CHECKING:
    from sre.failover.job import Job, Planned
    from sre.failover.model import Declared
    from sre.failover.operation.outcome import Result

__all__ = ["confirm_option", "confirmed", "cut_short", "declared_of", "emit_plan", "emit_result",
           "follow", "job_of"]  # fmt: skip

confirm_option = click.option(
    "--confirm", metavar="NODE",
    help="The node that stops being primary, or is touched; refused when it is another. "
    "On a terminal it is asked for.",
)  # fmt: skip


def declared_of(run: Run, cluster: str | None) -> Declared:
    """The cluster that is meant; the only one when none is named. Raises UsageError."""
    from sre.core.errors import UsageError  # noqa: PLC0415  only when it runs

    clusters = run.settings().switching.clusters
    known = ", ".join(sorted(clusters)) or "none; declare one under clusters:"
    if cluster is None:
        if len(clusters) != 1:
            raise UsageError(f"name the cluster; known: {known}")
        cluster = next(iter(clusters))
    if cluster not in clusters:
        raise UsageError(f"there is no cluster {cluster!r}; known: {known}")
    return clusters[cluster]


@contextmanager
def job_of(run: Run, cluster: str | None) -> Iterator[Job]:
    """Operations on the cluster that is meant."""
    from sre.failover.job import Job  # noqa: PLC0415  only when it runs

    with Job(declared_of(run, cluster)) as job:
        yield job


@contextmanager
def cut_short(job: Job) -> Iterator[None]:
    """Whoever stops us in the middle is told so, and how to go on."""
    from sre.core.errors import Interrupted, Terminated  # noqa: PLC0415  only when it runs

    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted{_left(job)}") from None
    except Terminated as error:
        raise Terminated(f"{str(error).removesuffix('; cleaned up')}{_left(job)}") from None


def _left(job: Job) -> str:
    from sre.core.errors import SreError  # noqa: PLC0415

    try:
        record = job.unfinished()
    except SreError as error:
        return f"; {error}"
    if record is None:
        return "; nothing was left half-way"
    return f" half-way; go on with: sre failover resume {job.declared.name} ({record.id})"


def confirmed(run: Run, planned: Planned, given: str | None) -> None:
    """Somebody who means this node has said so. Raises Refused.

    On a terminal its name is typed; elsewhere the command line is the word of whoever wrote it.
    """
    from sre.core.errors import Refused  # noqa: PLC0415

    decision = planned.decision
    touched = decision.new if decision.action == "rejoin" else decision.old  # old is followed there
    wanted = touched or decision.new
    if given is None and sys.stdin.isatty() and run.format == "text":
        click.echo(f"{decision.action} of {decision.cluster}: {wanted} will be touched", err=True)
        given = click.prompt(f"type {wanted!r} to go on", err=True, default="", show_default=False)
    if given is not None and given != wanted:
        raise Refused(f"confirmed {given!r}, but it would be {wanted!r}; nothing was touched")


def follow(run: Run) -> Any:
    """What is called with each step: shown on a terminal alone."""

    def say(line: str) -> None:
        click.echo(line, err=True)

    def quiet(_line: str) -> None:
        """Nobody follows."""

    return say if run.progress and sys.stderr.isatty() else quiet


def emit_plan(run: Run, planned: Planned) -> int:
    """Show what would be done; 5 when something stands against it."""
    from sre.failover.render import plan_as_json, plan_as_text  # noqa: PLC0415

    render = plan_as_json if run.format == "json" else plan_as_text
    run.emit(render(planned.decision, planned.steps))
    return 0 if planned.decision.allowed else 5


def emit_result(run: Run, result: Result) -> int:
    """Show how it ended; its exit code."""
    from sre.failover.render import result_as_json, result_as_text  # noqa: PLC0415

    run.emit(result_as_json(result) if run.format == "json" else result_as_text(result))
    return result.exit_code
