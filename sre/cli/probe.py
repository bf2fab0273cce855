"""`sre probe`: look at the shop once, or watch it and serve metrics."""

from __future__ import annotations

from pathlib import Path

import click

from sre.cli.options import Run, common_options, production_option
from sre.cli.probe_blackbox import import_blackbox
from sre.cli.probe_junit import junit_file
from sre.cli.probe_nagios import nagios
from sre.cli.probe_plan import plan_of
from sre.cli.probe_serve import serve

__all__ = ["probe"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def probe() -> None:
    """Watch the shop: run probes once, or serve metrics."""


probe.add_command(import_blackbox)
probe.add_command(serve)
probe.add_command(nagios)


@probe.command("run")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--junit",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the results for a CI job there too; an older file is removed first.",
)
@production_option
@common_options
def run_command(names: tuple[str, ...], junit: Path | None, production: bool, run: Run) -> int:
    """Run probes once, all of them unless named, and show what they found.

    Those that are named show their numbers too; --format json always has them.

    Exit code, the first that applies: 5 any blocked by the allow-list, 1 failed, 8 our own failure,
    4 throttled, 3 degraded or refused, 0 all good.
    """
    from sre.core.console import status  # noqa: PLC0415  only when it runs
    from sre.probes.render import as_json, as_text, exit_code  # noqa: PLC0415
    from sre.probes.runner import run_once  # noqa: PLC0415

    with junit_file(junit) as write:
        plan = plan_of(run.settings())
        checks = plan.select(names)
        if not production:
            plan.refuse_orders(checks)
        with status("probing", enabled=run.progress) as say:
            results = run_once(checks, plan, progress=lambda names: say(f"probing {names}"))
        write(results)
    run.emit(as_json(results) if run.format == "json" else as_text(results, numbers=bool(names)))
    return exit_code(results)
