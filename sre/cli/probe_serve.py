"""`sre probe serve`: watch the shop on a schedule, for Prometheus and for people."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import click

from sre.cli.options import Run, common_options, production_option
from sre.cli.probe_blackbox import ServeFlags, blackbox_options
from sre.cli.probe_plan import declared_of, plan_of

if TYPE_CHECKING:
    from sre.probes.plan import Plan
    from sre.probes.runner import Result
    from sre.probes.watch import Watch

__all__ = ["serve"]


@click.command("serve")
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
@production_option
@blackbox_options
@common_options
def serve(
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
    from sre.core.web.server import parse_address  # noqa: PLC0415  only when it runs

    service = _Service(shard, flags, run, production=production)
    watch = service.watch(parse_address(listen), web_config)
    asked: SimpleQueue[None] = SimpleQueue()  # its put() may be called from a signal handler
    signal.signal(signal.SIGHUP, lambda _signal, _frame: asked.put(None))
    with service.status:
        try:
            watch.start()
            click.echo(f"listening on {watch.url}")
            while True:
                if _wanted(asked):
                    watch.reload()
        finally:
            watch.stop()
            service.pumps.stop()


def _wanted(asked: SimpleQueue[None]) -> bool:
    """Whether a reading is wanted; one answers all that was asked until now.

    Waits a second at most: a signal that comes just before the wait would wake nobody.
    """
    try:
        asked.get(timeout=1.0)
    except Empty:
        return False
    while not asked.empty():
        asked.get()
    return True


class _Service:
    """What listens to the probes, and what they are told by each reading of the declaration."""

    def __init__(self, shard: str, flags: ServeFlags, run: Run, *, production: bool) -> None:
        from sre.page.live import LiveStatus  # noqa: PLC0415  only when it runs
        from sre.probes.changes import Changes  # noqa: PLC0415
        from sre.probes.feeds.pump import Pumps  # noqa: PLC0415
        from sre.probes.shard import parse_shard  # noqa: PLC0415

        self.status, self.pumps, self._changes = LiveStatus(), Pumps(), Changes()
        self._blackbox = flags.service()
        self._shard, self._flags, self._run = parse_shard(shard), flags, run
        self._production = production

    def watch(self, where: tuple[str, int], web_config: Path | None) -> Watch:
        """Everything joined, not started."""
        from sre.probes.watch import Watch  # noqa: PLC0415  only when it runs

        blackbox = self._blackbox
        return Watch(
            self.plan,
            where,
            web_config,
            listener=self.hear,
            routes=self.status.routes,
            questions={"/probe": blackbox.probe, "/config": blackbox.config},
            collectors=(blackbox, self.pumps),
        )

    def plan(self) -> Plan:
        """The declaration, read anew."""
        settings = self._run.settings()
        modules = self._flags.modules(settings)
        found = plan_of(settings)
        found = replace(found, checks=self._shard.of(found.checks))
        if not self._production:
            found.refuse_orders(found.checks)
        self._blackbox.adopt(modules, found.guard, found.shop)
        self.status.adopt(declared_of(settings, found))
        self.pumps.adopt(settings.watching.feeds, found.checks)
        return found

    def hear(self, result: Result) -> None:
        """A run has ended."""
        self._changes.hear(result)
        self.status.hear(result)
        self.pumps.hear(result)
