"""`sre loadtest worker`: this host sends its share of somebody else's run."""

from __future__ import annotations

import contextlib
import importlib.util
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from sre.cli.loadtest_cluster import key_option, seconds, wait_option
from sre.cli.options import Run, common_options
from sre.core.errors import (
    Interrupted,
    MissingExtra,
    Refused,
    Terminated,
    Transient,
    Untrusted,
    UsageError,
)

if TYPE_CHECKING:
    from sre.loadtest.cluster.host import Ended
    from sre.loadtest.cluster.sheet import Offer

__all__ = ["worker_command"]

_ERRORS = {2: UsageError, 3: Untrusted, 4: Transient, 5: Refused}


@click.command("worker")
@click.option("--master", required=True, metavar="HOST:PORT", help="Where the run listens.")
@click.option(
    "--workers", type=click.IntRange(1, 256), default=1, help="Worker processes of this host."
)
@key_option
@wait_option
@click.option("--stay", is_flag=True, help="Serve one run after another; wait without end.")
@common_options
def worker_command(
    master: str, workers: int, key_file: Path | None, wait: str, stay: bool, run: Run
) -> int:
    """Send this host's share of a run that `sre loadtest run --expect-workers` directs.

    Journeys, shop, allow-list and secrets come from this host's own sre.yaml; a master whose
    declaration differs is refused. Ends with 0 after the run, 2 where the declarations or versions
    differ, 4 where there is no master or it was lost, 5 where the keys differ.
    """
    offer = _offer(master, key_file, wait, run)
    with _signals() as asked:
        ended = _serve(offer, workers, stay, asked)
    if signal.SIGINT in asked:
        raise Interrupted("interrupted; the master was told")
    if asked:
        raise Terminated("terminated by SIGTERM; the master was told")
    if ended.code:
        raise _ERRORS.get(ended.code, Untrusted)(ended.words or f"a worker ended with {ended.code}")
    return 0


def _offer(master: str, key_file: Path | None, wait: str, run: Run) -> Offer:
    from sre.loadtest.cluster.address import Address, need_key  # noqa: PLC0415
    from sre.loadtest.cluster.key import shared_key  # noqa: PLC0415
    from sre.loadtest.cluster.sheet import Offer  # noqa: PLC0415
    from sre.loadtest.cluster.versions import versions  # noqa: PLC0415

    if importlib.util.find_spec("locust") is None:
        raise MissingExtra("a load test needs the package 'locust': pip install 'sre[load]'")
    address, key = Address.parse(master), shared_key(key_file)
    need_key(address, key)
    settings = run.settings()
    return Offer(
        master=address,
        key=key,
        wait=seconds(wait),
        loadtests=settings.loadtests,
        journeys=settings.journeys,
        shop=settings.shop,
        targets=settings.targets,
        versions=versions(),
        log_level=run.log_level,
    )


def _serve(offer: Offer, workers: int, stay: bool, asked: list[int]) -> Ended:
    from sre.core.clock import SystemClock  # noqa: PLC0415
    from sre.loadtest.cluster.host import serve  # noqa: PLC0415

    return serve(
        offer,
        workers,
        stay=stay,
        clock=SystemClock(),
        tell=lambda line: click.echo(f"sre: {line}", err=True),
        stop=lambda: bool(asked),
    )


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """SIGTERM and SIGINT as notes, in the order in which they came."""
    asked: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        asked.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
