"""`sre config`: what may stand in sre.yaml, for editors."""

from __future__ import annotations

import json

import click

from sre.cli.options import Run, common_options

__all__ = ["config"]


@click.group()
def config() -> None:
    """About sre.yaml itself."""


@config.command()
@common_options
def schema(run: Run) -> int:
    """Print the JSON Schema of sre.yaml; editors complete and check with it."""
    from sre.settings import schema as json_schema  # noqa: PLC0415  pydantic only when needed

    run.emit(json.dumps(json_schema(), indent=2))
    return 0
