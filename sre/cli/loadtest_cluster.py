"""Which options let other hosts take part, on both sides?"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sre.core.errors import UsageError
from sre.core.units import Duration

if TYPE_CHECKING:
    from sre.loadtest.cluster.address import Address
    from sre.loadtest.crew.model import Crew
    from sre.loadtest.job import Job

__all__ = ["Cluster", "cluster_options", "key_option", "seconds", "wait_option"]

DEFAULT = "127.0.0.1:5557"

key_option = click.option(
    "--key-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The shared key; default $SRE_LOADTEST_KEY. Needed beyond loopback.",
)
wait_option = click.option("--wait", default="60s", show_default=True, metavar="DURATION")


@dataclass(frozen=True)
class Cluster:
    """What the options said: `expect` workers come to `listen` within `wait` seconds."""

    expect: int
    listen: Address
    key: str | None
    wait: float

    def crew(self, job: Job, out: Path, say: Callable[[str], None]) -> Crew:
        """The crew for one run of `job`."""
        from sre.core.clock import SystemClock  # noqa: PLC0415
        from sre.loadtest.cluster.crew import ClusterCrew  # noqa: PLC0415

        return ClusterCrew(
            job.name,
            out,
            self.expect,
            self.listen,
            self.key,
            SystemClock(),
            wait=self.wait,
            tell=lambda line: click.echo(f"sre: {line}", err=True),
            say=say,
        )


def seconds(text: str) -> float:
    """What `--wait` says. Raises UsageError."""
    try:
        return float(Duration.parse(text))
    except ValueError as error:
        raise UsageError(f"--wait: {error}") from error


def cluster_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --expect-workers --listen --key-file --wait; passes `cluster: Cluster | None`."""

    @click.option(
        "--expect-workers",
        "expect",
        type=click.IntRange(1, 1000),
        help="Make no load here; wait for so many `sre loadtest worker` processes.",
    )
    @click.option(
        "--listen", metavar="HOST:PORT", help=f"Where they come to; default {DEFAULT}. Port 0: any."
    )
    @key_option
    @wait_option
    @functools.wraps(command)
    def wrapper(
        *args: Any,
        expect: int | None,
        listen: str | None,
        key_file: Path | None,
        wait: str,
        **kwargs: Any,
    ) -> Any:
        cluster = None
        if expect is not None:
            if kwargs.get("workers") is not None:
                raise UsageError(
                    "--workers starts processes here, --expect-workers waits for those of other "
                    "hosts; a host starts several with: sre loadtest worker --workers K"
                )
            cluster = _cluster(expect, listen or DEFAULT, key_file, seconds(wait))
        elif listen is not None or key_file is not None:
            raise UsageError("--listen and --key-file belong to --expect-workers N")
        return command(*args, cluster=cluster, **kwargs)

    return wrapper


def _cluster(expect: int, listen: str, key_file: Path | None, wait: float) -> Cluster:
    from sre.loadtest.cluster.address import Address, need_key  # noqa: PLC0415
    from sre.loadtest.cluster.key import shared_key  # noqa: PLC0415

    address, key = Address.parse(listen, port_zero=True), shared_key(key_file)
    need_key(address, key)
    return Cluster(expect, address, key, wait)
