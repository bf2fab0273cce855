"""`sre probe`: look at the shop once, or watch it and serve metrics."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

import click

from sre.cli.options import Run, common_options
from sre.cli.probe_blackbox import ServeFlags, blackbox_options, import_blackbox

if TYPE_CHECKING:
    from sre.page.model import Declared
    from sre.probes.plan import Plan
    from sre.settings import Settings

__all__ = ["declared_of", "plan_of", "probe"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def probe() -> None:
    """Watch the shop: run probes once, or serve metrics."""


probe.add_command(import_blackbox)

_DAY = 86400.0

_production = click.option(
    "--i-know-this-is-production",
    "production",
    is_flag=True,
    help="Without it, nothing places orders at a shop in production.",
)


@probe.command("run")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@_production
@common_options
def run_command(names: tuple[str, ...], production: bool, run: Run) -> int:
    """Run probes once, all of them unless named, and show what they found.

    Exit code, the first that applies: 5 any blocked by the allow-list, 1 failed, 8 our own failure,
    4 throttled, 3 degraded or refused, 0 all good.
    """
    from sre.core.console import status  # noqa: PLC0415  only when it runs
    from sre.probes.render import as_json, as_text, exit_code  # noqa: PLC0415
    from sre.probes.runner import run_once  # noqa: PLC0415

    plan = plan_of(run.settings())
    checks = plan.select(names)
    if not production:
        plan.refuse_orders(checks)
    with status("probing", enabled=run.progress) as say:
        results = run_once(checks, plan, progress=lambda names: say(f"probing {names}"))
    run.emit(as_json(results) if run.format == "json" else as_text(results))
    return exit_code(results)


@probe.command("serve")
@click.option(
    "--web.listen-address",
    "listen",
    default="127.0.0.1:9115",
    show_default=True,
    metavar="HOST:PORT",
    help="Where to serve /metrics; port 0 takes a free one and says which.",
)
@click.option(
    "--web.config.file",
    "web_config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="TLS and basic auth, in the format of exporter-toolkit.",
)
@click.option(
    "--shard",
    default="1/1",
    show_default=True,
    metavar="I/N",
    help="Run the I-th of N parts of the probes; N machines with the same sre.yaml run them all.",
)
@_production
@blackbox_options
@common_options
def serve_command(
    listen: str,
    web_config: Path | None,
    shard: str,
    production: bool,
    flags: ServeFlags,
    run: Run,
) -> int:
    """Run the probes on their schedule; serve their metrics and a status page.

    The page is at /, its data at /-/status.json; its history is kept in $SRE_STATE or ./.sre.
    /probe?target=&module= looks at any target of the allow-list, as blackbox_exporter does.
    POST /-/reload and SIGHUP read sre.yaml again: a bad one changes nothing. SIGTERM lets cleanup
    steps of running journeys finish, then ends with 143.
    """
    from sre.page.live import LiveStatus  # noqa: PLC0415  only when it runs
    from sre.probes.shard import parse_shard  # noqa: PLC0415
    from sre.probes.watch import Watch, parse_address  # noqa: PLC0415

    status = LiveStatus()
    blackbox = flags.service()
    mine = parse_shard(shard)

    def plan() -> Plan:
        settings = run.settings()
        modules = flags.modules(settings)
        found = plan_of(settings)
        found = replace(found, checks=mine.of(found.checks))
        if not production:
            found.refuse_orders(found.checks)
        blackbox.adopt(modules, found.guard)
        status.adopt(declared_of(settings, found))
        return found

    where = parse_address(listen)
    watch = Watch(
        plan, where, web_config, listener=status.hear, routes=status.routes,
        questions={"/probe": blackbox.probe, "/config": blackbox.config}, collectors=(blackbox,),
    )  # fmt: skip
    asked: SimpleQueue[None] = SimpleQueue()  # its put() may be called from a signal handler
    signal.signal(signal.SIGHUP, lambda _signal, _frame: asked.put(None))
    with status:
        try:
            watch.start()
            click.echo(f"listening on {watch.url}")
            while True:
                asked.get()
                watch.reload()
        finally:
            watch.stop()


def declared_of(settings: Settings, plan: Plan) -> Declared:
    """What the declaration means to the status page."""
    from sre.page.model import Declared, Maintenance  # noqa: PLC0415  only when it runs
    from sre.probes.watching import spans  # noqa: PLC0415

    def plans(now: float) -> list[Maintenance]:
        found = spans(plan.maintenance, plan.checks, now - _DAY, now + 7 * _DAY)
        return [Maintenance(each.name, each.begin, each.end, each.probes) for each in found]

    databases = tuple(settings.databases)
    return Declared(settings.shop, plan.checks, settings.objectives, databases, plans)


def plan_of(settings: Settings) -> Plan:
    """What the declaration means to the probes."""
    from sre.core.secrets import Secret  # noqa: PLC0415  only when it runs
    from sre.journey.guard import Guard  # noqa: PLC0415
    from sre.probes.plan import Plan, all_checks  # noqa: PLC0415

    checks = all_checks(settings.probes, settings.journeys)
    edges: dict[str, tuple[float, ...]] = {}
    step_edges: dict[str, tuple[float, ...]] = {}
    for objective in settings.objectives:
        if objective.below is None:
            continue
        edge = (float(objective.below),)
        if objective.step is not None:
            step_edges[objective.step] = step_edges.get(objective.step, ()) + edge
        for check in checks:
            if objective.subject in (check.journey, check.name) and objective.step is None:
                edges[check.name] = edges.get(check.name, ()) + edge
    guard = Guard(settings.targets.allow, settings.shop.base_url)
    dsns = {
        name: dsn
        for name, each in settings.databases.items()
        if isinstance(dsn := getattr(each.database, "dsn", None), Secret)
    }
    return Plan(
        checks, settings.shop, guard, settings.journeys, edges, step_edges, dsns,
        settings.watching.options, settings.watching.maintenance,
    )  # fmt: skip
