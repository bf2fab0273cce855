"""`sre check`: is the declaration whole?"""

from __future__ import annotations

import json
from typing import Any

import click

from sre.cli.options import Run, common_options
from sre.core.errors import ConfigError, Problem

__all__ = ["check"]


@click.command()
@click.option(
    "--only",
    type=click.Choice(["config"]),
    help="config: syntax, names, references between sections; fast, touches nothing.",
)
@common_options
def check(only: str | None, run: Run) -> int:  # noqa: ARG001  one rule set so far
    """Check sre.yaml: every problem at once, each with file, line, column and cure.

    Nothing is contacted and no secret is read. Exit 2 when there are problems.
    """
    from sre.settings import load_settings  # noqa: PLC0415  pydantic only when needed

    if run.format == "text":
        settings = run.settings()
        run.emit(f"{settings.path}: good; {_counts(settings)}")
        return 0
    try:
        run.require_config()
        problems: tuple[Problem, ...] = ()
        warnings = load_settings(run.config_path).warnings
    except ConfigError as error:
        problems, warnings = error.problems, ()
    run.emit(json.dumps(_document(problems, warnings), indent=2))
    return ConfigError.exit_code if problems else 0


def _counts(settings: Any) -> str:
    parts = (
        (len(settings.journeys), "journey"),
        (len(settings.probes), "probe"),
        (len(settings.objectives), "objective"),
        (len(settings.loadtests), "load test"),
    )
    return ", ".join(f"{count} {what}{'' if count == 1 else 's'}" for count, what in parts)


def _document(problems: tuple[Problem, ...], warnings: tuple[Problem, ...]) -> dict[str, Any]:
    both = [("error", p) for p in problems] + [("warning", w) for w in warnings]
    return {
        "schema": "sre.check/1",
        "problems": [
            {
                "rule": "config",
                "severity": severity,
                "path": p.path,
                "file": p.file,
                "line": p.line,
                "col": p.col,
                "message": (parts := p.message.partition("; "))[0],
                "remedy": parts[2],
            }
            for severity, p in both
        ],
    }
