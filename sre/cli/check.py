"""`sre check`: is the chain whole?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from sre.cli.options import Run, common_options
from sre.core.errors import CheckFailed, ConfigError, Problem, SreError

if TYPE_CHECKING:
    from sre.chain.model import Finding, World
    from sre.settings import Settings

__all__ = ["check"]

PARTS = ("config", "links", "fresh")


@click.command()
@click.option(
    "--only",
    type=click.Choice(PARTS),
    help="config: syntax, names, references between sections; touches nothing. links: is every "
    "link there; reads files. fresh: is every proof young enough; reads facts and stores.",
)
@common_options
def check(only: str | None, run: Run) -> int:
    """Check the chain: journey, objective, alert, runbook, rehearsal, restored backup.

    Every problem at once, each with file, line, column and the command or line that mends it. All
    three parts unless told; links and fresh need a declaration that can be read.

    Exit 1 when a link is missing or stale, 2 when sre.yaml is wrong, 4 when a store does not
    answer and nothing else can. Warnings alone are 0.
    """
    checked = PARTS if only is None else (only,)
    return _in_text(run, checked) if run.format == "text" else _in_json(run, checked)


def _in_text(run: Run, checked: Sequence[str]) -> int:
    settings = run.settings()
    parts, silent = _look(settings, checked)
    code = _exit_code(parts, silent)
    lines = [f"{settings.path}: {'not whole' if code else 'good'}; {_counts(settings)}"]
    if parts:
        from sre.chain.render import as_text  # noqa: PLC0415  only when it runs

        lines.insert(0, as_text(parts))
    run.emit("\n".join(lines))
    return code


def _in_json(run: Run, checked: Sequence[str]) -> int:
    from sre.chain.render import as_json  # noqa: PLC0415  only when it runs

    run.require_config()
    try:
        settings = _load(run)
    except ConfigError as error:
        run.emit(as_json(checked, _told(error.problems, "error")))
        return ConfigError.exit_code
    parts, silent = _look(settings, checked)
    findings = [*_told(settings.warnings, "warning"), *(f for part in parts.values() for f in part)]
    run.emit(as_json(checked, findings))
    return _exit_code(parts, silent)


def _load(run: Run) -> Settings:
    from sre.settings import load_settings  # noqa: PLC0415  pydantic only when needed

    return load_settings(run.config_path)


def _look(
    settings: Settings, checked: Iterable[str]
) -> tuple[dict[str, tuple[Finding, ...]], tuple[SreError, ...]]:
    """The findings of each part beyond the configuration, and what nobody could answer."""
    from sre.chain.gather import fresh  # noqa: PLC0415  only when it runs
    from sre.chain.links import links  # noqa: PLC0415

    parts: dict[str, tuple[Finding, ...]] = {}
    silent: tuple[SreError, ...] = ()
    if "links" not in checked and "fresh" not in checked:
        return parts, silent
    world = _world(settings)
    if "links" in checked:
        parts["links"] = links(world)
    if "fresh" in checked:
        parts["fresh"], silent = fresh(world)
    return parts, silent


def _world(settings: Settings) -> World:
    from sre.chain.gather import gather  # noqa: PLC0415  only when it runs
    from sre.cli.runbook import command_names  # noqa: PLC0415
    from sre.cli.slo import promises_of  # noqa: PLC0415

    return gather(settings, promises_of(settings), command_names())


def _exit_code(parts: dict[str, tuple[Finding, ...]], silent: tuple[SreError, ...]) -> int:
    """A link that is missing or stale comes before a store that does not answer."""
    rules = {each.rule for part in parts.values() for each in part if each.severity == "error"}
    if rules - {"store-unreachable"}:
        return CheckFailed.exit_code
    return silent[0].exit_code if silent else 0


def _counts(settings: Any) -> str:
    parts = (
        (len(settings.journeys), "journey"),
        (len(settings.probes), "probe"),
        (len(settings.objectives), "objective"),
        (len(settings.loadtests), "load test"),
        (len(settings.databases), "database"),
    )
    return ", ".join(f"{count} {what}{'' if count == 1 else 's'}" for count, what in parts)


def _told(problems: Iterable[Problem], severity: Any) -> list[Finding]:
    """Problems of the configuration in the form of findings."""
    from sre.chain.model import Finding  # noqa: PLC0415  only when it runs

    told = []
    for each in problems:
        message, _, remedy = each.message.partition("; ")
        place = (each.file, each.line, each.col, each.path)
        told.append(Finding(*place, "config", severity, message, remedy))
    return told
