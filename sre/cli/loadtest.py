"""`sre loadtest`: what would a load test do, and does the shop pass it?"""

from __future__ import annotations

import json

import click

from sre.cli.loadtest_parts import job_of
from sre.cli.loadtest_run import run_command
from sre.cli.options import Run, common_options
from sre.core.errors import SreError

__all__ = ["loadtest"]


@click.group()
def loadtest() -> None:
    """Release gate: open-model load from the journeys that the probes run.

    Exit codes of `run`: passed 0, failed 1, invalid 3, aborted 8, refused 5.
    """


loadtest.add_command(run_command)


@loadtest.command()
@click.argument("name")
@common_options
def plan(name: str, run: Run) -> int:
    """Show what load test NAME would send, without sending anything.

    Rates and arrivals of each stage, requests and orders to expect, whether the allow-list admits
    the target, and how many workers it takes.
    """
    from sre.core.console import table  # noqa: PLC0415
    from sre.loadtest.output.plan import plan_data, plan_text  # noqa: PLC0415

    job = job_of(run, name)
    address, refused, code = None, None, 0
    try:
        address = job.admit().authority
    except SreError as error:
        refused, code = str(error), error.exit_code
    data = plan_data(job, address, refused)
    run.emit(json.dumps(data, indent=2) if run.format == "json" else plan_text(data, table))
    return code
