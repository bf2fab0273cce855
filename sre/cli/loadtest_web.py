"""Which options let a run be looked at while it goes?"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sre.core.errors import Refused, UsageError

if TYPE_CHECKING:
    from sre.loadtest.desk import Desk
    from sre.loadtest.job import Job

__all__ = ["Website", "web_options"]


@dataclass(frozen=True)
class Website:
    """Where to listen, and how: TLS and users of `config`."""

    listen: tuple[str, int]
    config: Path | None = None

    @contextlib.contextmanager
    def desk(self, job: Job, workers: int) -> Iterator[Desk]:
        """Serve the page and the metrics of the run that is about to begin.

        Raises UsageError when the address cannot be listened on.
        """
        from sre.core.clock import SystemClock  # noqa: PLC0415
        from sre.core.web.config import Web  # noqa: PLC0415
        from sre.core.web.server import HttpServer  # noqa: PLC0415
        from sre.loadtest.desk import Desk  # noqa: PLC0415

        desk = Desk(job, workers, SystemClock())
        try:
            server = HttpServer(self.listen, desk, Web(self.config))
        except OSError as error:
            host, port = self.listen
            raise UsageError(f"cannot listen on {host}:{port}: {error.strerror}") from error
        server.start()
        click.echo(f"sre: the run can be looked at: {server.url}", err=True)
        try:
            yield desk
        finally:
            server.stop()


def web_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --web.listen-address and --web.config.file; passes `web: Website | None`."""

    @click.option(
        "--web.listen-address",
        "web_listen",
        metavar="HOST:PORT",
        help="Serve a live page and /metrics while the run goes; port 0 takes a free one.",
    )
    @click.option(
        "--web.config.file",
        "web_config",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="TLS and basic auth for it, in the format of exporter-toolkit.",
    )
    @functools.wraps(command)
    def wrapper(*args: Any, web_listen: str | None, web_config: Path | None, **kwargs: Any) -> Any:
        return command(*args, web=_website(web_listen, web_config), **kwargs)

    return wrapper


def _website(listen: str | None, config: Path | None) -> Website | None:
    from sre.core.web.server import parse_address  # noqa: PLC0415

    if listen is None:
        if config is not None:
            raise UsageError("--web.config.file belongs to --web.listen-address; add it")
        return None
    host, port = parse_address(listen)
    if config is None and not _loopback(host):
        raise Refused(
            f"--web.listen-address {listen}: others could look at it; listen on 127.0.0.1, or say "
            "who may with --web.config.file"
        )
    return Website((host, port), config)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
