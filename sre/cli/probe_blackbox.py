"""What does `sre probe` take from an existing blackbox_exporter: its file, its flags?"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sre.cli.options import Run, common_options

if TYPE_CHECKING:
    from sre.probes.blackbox.handler import Blackbox
    from sre.probes.blackbox.modules import Module
    from sre.settings import Settings

__all__ = ["ServeFlags", "blackbox_options", "import_blackbox"]


@dataclass(frozen=True)
class ServeFlags:
    """Flags of `probe serve` for /probe, named as blackbox_exporter's own.

    Attributes:
        file: a blackbox.yml whose modules are served instead of sre.yaml's.
        offset: seconds kept back from Prometheus' timeout.
        debug: whether debug=true and /config are for everybody.
    """

    file: Path | None
    offset: float
    debug: bool

    def service(self) -> Blackbox:
        """What answers /probe; nothing is served before it is told what."""
        from sre.probes.blackbox.handler import Blackbox  # noqa: PLC0415  only when it runs

        return Blackbox(offset=self.offset, debug=self.debug)

    def modules(self, settings: Settings) -> dict[str, Module]:
        """The file's modules, else the declared ones, else the well-known ones.

        Raises:
            ConfigError: everything that is wrong with the file.
        """
        from sre.probes.blackbox.declare import load_blackbox  # noqa: PLC0415
        from sre.probes.blackbox.defaults import DEFAULT_MODULES  # noqa: PLC0415

        if self.file is not None:
            return load_blackbox(self.file)
        return dict(settings.modules) or DEFAULT_MODULES


def blackbox_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --config.file, --timeout-offset and --web.enable-debug; passes `flags: ServeFlags`."""

    @click.option(
        "--config.file",
        "config_file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="A blackbox.yml: /probe serves its modules; secrets in it are masked.",
    )
    @click.option(
        "--timeout-offset",
        "offset",
        type=click.FloatRange(0, 60),
        default=0.5,
        show_default=True,
        help="Seconds of Prometheus' timeout that /probe keeps back.",
    )
    @click.option(
        "--web.enable-debug",
        "debug",
        is_flag=True,
        help="Show /probe?debug=true and /config to clients without a name, too.",
    )
    @functools.wraps(command)
    def wrapper(
        *args: Any, config_file: Path | None, offset: float, debug: bool, **kwargs: Any
    ) -> Any:
        return command(*args, flags=ServeFlags(config_file, offset, debug), **kwargs)

    return wrapper


@click.command("import-blackbox")
@click.argument("file", type=click.Path(path_type=Path))
@common_options
def import_blackbox(file: Path, run: Run) -> int:
    """Print the modules of a blackbox.yml as the section `modules:` of sre.yaml.

    Each literal secret becomes a reference to an environment variable; which ones to set, and what
    is not supported, is said on stderr. Secrets are never printed.
    """
    import json  # noqa: PLC0415  only when it runs

    from sre.probes.blackbox.importing import imported  # noqa: PLC0415

    found = imported(file)
    for note in found.notes:
        click.echo(f"note: {note}", err=True)
    if found.variables:
        click.echo("set these before sre reads the section:", err=True)
        for variable, place in found.variables.items():
            click.echo(f"  {variable}  ({place})", err=True)
    if run.format == "json":
        document = {
            "schema": "sre.import-blackbox/1",
            "modules": found.modules,
            "variables": dict(found.variables),
            "notes": list(found.notes),
        }
        run.emit(json.dumps(document, indent=2))
    else:
        run.emit(found.text)
    return 0
