"""`sre loadtest schema`: what may a program expect of summary.json?"""

from __future__ import annotations

from importlib.resources import files

import click

from sre.cli.options import Run, common_options

__all__ = ["schema_command"]


@click.command("schema")
@common_options
def schema_command(run: Run) -> int:
    """Print the JSON Schema of summary.json."""
    run.emit(files("sre.loadtest.output").joinpath("schema.json").read_text("utf-8").rstrip())
    return 0
