"""`sre loadtest`: what would a load test do, and does the shop pass it?"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import click

from sre.cli.loadtest_accept import accept_command
from sre.cli.loadtest_calibrate import calibrate_command
from sre.cli.loadtest_capacity import capacity_command
from sre.cli.loadtest_compare import compare_command
from sre.cli.loadtest_mix import mix_command
from sre.cli.loadtest_parts import cores, job_of
from sre.cli.loadtest_run import run_command
from sre.cli.loadtest_schema import schema_command
from sre.cli.loadtest_worker import worker_command
from sre.cli.options import Run, common_options
from sre.core.errors import SreError

__all__ = ["loadtest"]


@click.group()
def loadtest() -> None:
    """Release gate: open-model load from the journeys that the probes run.

    Exit codes of `run`: passed 0, failed 1, invalid 3, aborted 8, refused 5.
    """


loadtest.add_command(mix_command)
loadtest.add_command(run_command)
loadtest.add_command(worker_command)
loadtest.add_command(schema_command)
loadtest.add_command(capacity_command)
loadtest.add_command(accept_command)
loadtest.add_command(compare_command)
loadtest.add_command(calibrate_command)


@loadtest.command()
@click.argument("name")
@common_options
def plan(name: str, run: Run) -> int:
    """Show what load test NAME would send, without sending anything.

    The curve of the rate, arrivals of each stage and journey, requests and orders to expect, the
    caps, what may stop it, the samples that each threshold will have, whether the allow-list admits
    the target, and how many workers it takes. Ends with 5 when a run would be refused.
    """
    from sre.core.console import table  # noqa: PLC0415
    from sre.loadtest.guards.preflight import kill_files, planned  # noqa: PLC0415
    from sre.loadtest.output.plan import plan_data, plan_text  # noqa: PLC0415

    job = job_of(run, name)
    address, refused, code = None, None, 0
    try:
        address = planned(job).authority
    except SreError as error:
        refused, code = str(error), error.exit_code
    stops = [str(path) for path in kill_files(job, Path("OUT"))]
    data = plan_data(job, address, refused, cores=cores(), kill_files=stops)
    width = shutil.get_terminal_size((80, 24)).columns
    plain = not (sys.stdout.encoding or "").lower().startswith("utf")
    words = plan_text(data, table, width=width, plain=plain)
    run.emit(json.dumps(data, indent=2) if run.format == "json" else words)
    return code
