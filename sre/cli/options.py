"""Which options does every command share, and what does a command get from them?"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sre.core.errors import UsageError

if TYPE_CHECKING:
    from sre.settings import Settings

__all__ = ["Run", "common_options", "production_option"]


@dataclass(frozen=True)
class Run:
    """What the shared options said.

    Attributes:
        format: `text` or `json`; JSON is one document with a `schema` key on stdout.
        progress: whether progress may be drawn (on stderr, and only on a terminal).
    """

    config: Path | None
    format: str
    log_level: str
    log_format: str
    progress: bool

    @property
    def config_path(self) -> Path:
        """--config, then ./sre.yaml, then $SRE_CONFIG."""
        if self.config is not None:
            return self.config
        default = Path("sre.yaml")
        from_env = os.environ.get("SRE_CONFIG")  # noqa: TID251  a documented switch of the CLI
        return Path(from_env) if from_env and not default.exists() else default

    def settings(self) -> Settings:
        """Read and check the declaration; ConfigError names every problem at once."""
        from sre.settings import load_settings  # noqa: PLC0415  pydantic only when needed

        self.require_config()
        settings = load_settings(self.config_path)
        for warning in settings.warnings:
            click.echo(f"warning: {warning}", err=True)
        return settings

    def require_config(self) -> None:
        """Raises UsageError when there is no such file."""
        if not self.config_path.exists():
            raise UsageError(
                f"{self.config_path}: no such file; write one (docs/sre-yaml.md), or name it with "
                "--config or $SRE_CONFIG"
            )

    def emit(self, text: str) -> None:
        """Write a result to stdout, secrets masked."""
        from sre.core.secrets import redactor  # noqa: PLC0415

        click.echo(redactor.mask(text))


def common_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --config --format --log-level --log-format --no-progress; passes them as `run: Run`."""

    @click.option("--config", type=click.Path(path_type=Path), help="Default ./sre.yaml.")
    @click.option("--format", "fmt", type=click.Choice(["text", "json"]), default="text")
    @click.option(
        "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="warning"
    )
    @click.option("--log-format", type=click.Choice(["text", "json"]), default="text")
    @click.option("--no-progress", is_flag=True, help="Draw no progress, even on a terminal.")
    @functools.wraps(command)
    def wrapper(
        *args: Any,
        config: Path | None,
        fmt: str,
        log_level: str,
        log_format: str,
        no_progress: bool,
        **kwargs: Any,
    ) -> Any:
        from sre.core.log import setup  # noqa: PLC0415  logging only when a command runs

        setup(level=log_level, format=log_format)
        run = Run(config, fmt, log_level, log_format, progress=not no_progress)
        return command(*args, run=run, **kwargs)

    return wrapper


production_option = click.option(
    "--i-know-this-is-production",
    "production",
    is_flag=True,
    help="Without it, nothing places orders at a shop in production.",
)
"""For commands that may run journeys with side effects."""
