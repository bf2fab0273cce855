"""`sre loadtest mix-from-log`: which mix and which curve does the shop's own log show?"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import click

from sre.cli.options import Run, common_options
from sre.core.console import status
from sre.core.errors import UsageError
from sre.core.units import Duration

if TYPE_CHECKING:
    from sre.journey.model import Journey
    from sre.loadtest.mix.survey import Survey
    from sre.loadtest.mix.tally import Tally

__all__ = ["mix_command"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")
_AT = "--at: write busiest, or FROM..TO as in 2026-11-11T20:00..2026-11-11T21:00, or FROM alone"


@click.command("mix-from-log")
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@click.option("--journeys", help="Only these, separated by commas; default: all of sre.yaml.")
@click.option("--name", default="from_log", show_default=True, help="Of the load test.")
@click.option(
    "--lines",
    default="",
    help="combined, common, json, or the text of nginx's log_format; default: by the first lines.",
)
@click.option(
    "--field",
    "fields",
    multiple=True,
    metavar="WHAT=NAME",
    help="JSON: which field holds time, method, path, request, status, seconds, agent, visitor.",
)
@click.option("--unit", type=click.Choice(["s", "ms", "us", "ns"]), default="s", help="Of seconds.")
@click.option("--window", help="How much of the log becomes the curve; default 1h, or all of it.")
@click.option("--at", default="busiest", show_default=True, help="busiest, FROM..TO, or FROM.")
@click.option("--interval", help="One point of the curve; default: a sixtieth of the window.")
@click.option("--duration", help="Of the load test; default 20m, or as long as the window.")
@click.option(
    "--level",
    type=click.Choice(["peak", "mean"]),
    default="peak",
    show_default=True,
    help="What 100% stands for: the highest point of the curve, or its mean.",
)
@click.option("--keep-bots", is_flag=True, help="Count agents that say that they are bots.")
@click.option("--keep-synthetic", is_flag=True, help="Count requests of sre itself.")
@common_options
def mix_command(files: tuple[str, ...], run: Run, **asked: Any) -> int:
    """Estimate a load test from access logs: arrivals of each journey, and a rate curve.

    Prints an entry for `loadtests:`. FILE may be compressed, or `-`; give all files of a rotated
    log. Paths, times and methods are read; addresses only to tell visitors apart, in memory.
    """
    from sre.loadtest.mix.estimate import estimate  # noqa: PLC0415
    from sre.loadtest.mix.model import Ask  # noqa: PLC0415
    from sre.loadtest.mix.render import to_json, to_yaml  # noqa: PLC0415
    from sre.loadtest.mix.survey import Format, survey  # noqa: PLC0415

    name = asked["name"]
    if not _NAME.fullmatch(name):
        raise UsageError(f"--name {name!r} must be a letter or _, then letters, digits, _ or -")
    window, interval, duration = (
        _seconds(f"--{key}", asked[key]) for key in ("window", "interval", "duration")
    )
    _times(asked["at"], 0)  # a typing error is told before a big log is read
    form = Format(asked["lines"], _fields(asked["fields"]), asked["unit"])
    tally = _tally(run, asked)
    with status("reading", enabled=run.progress) as say:
        read = survey(files, form, tally, lambda seen: say(_progress(seen, tally)))
    at = _times(asked["at"], read.offset)
    found = estimate(tally, read, Ask(window, at, interval, duration, asked["level"]))
    run.emit(
        json.dumps(to_json(name, found), indent=2) if run.format == "json" else to_yaml(name, found)
    )
    return 0


def _tally(run: Run, asked: Mapping[str, Any]) -> Tally:
    from sre.loadtest.mix.steps import map_of  # noqa: PLC0415
    from sre.loadtest.mix.tally import Rules, Tally  # noqa: PLC0415

    settings = run.settings()
    journeys = _journeys(settings.journeys, asked["journeys"])
    found = map_of(journeys, settings.shop.base_url)
    wanted = frozenset(pair for pairs in found.pauses().values() for pair in pairs)
    rules = Rules(asked["keep_bots"], asked["keep_synthetic"])
    return Tally(found, rules, secrets.token_bytes(32), wanted=wanted)


def _journeys(declared: Mapping[str, Journey], wanted: str | None) -> dict[str, Journey]:
    if not declared:
        raise UsageError("sre.yaml has no journeys: declare what customers do (docs/sre-yaml.md)")
    names = [part.strip() for part in wanted.split(",")] if wanted else list(declared)
    for name in names:
        if name not in declared:
            raise UsageError(f"--journeys: there is no {name!r}; journeys: {', '.join(declared)}")
    return {name: declared[name] for name in names}


def _progress(seen: Survey, tally: Tally) -> str:
    return f"reading file {seen.files}: {tally.requests:,} requests of customers so far"


def _seconds(option: str, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        found = float(Duration.parse(text))
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error
    if found < 1:
        raise UsageError(f"{option} must be at least 1s")
    return found


def _fields(texts: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for text in texts:
        what, equals, name = text.partition("=")
        if not (what and equals and name):
            raise UsageError(f"--field {text!r}: write WHAT=NAME, as in --field status=code")
        found[what] = name
    return found


def _times(text: str, offset: int) -> tuple[float, float | None] | None:
    """From when to when; a time without a zone is by the log's own clock."""
    if text == "busiest":
        return None
    zone = timezone(timedelta(seconds=offset))
    try:
        found = [datetime.fromisoformat(part.strip()) for part in text.split("..")]
    except ValueError as error:
        raise UsageError(_AT) from error
    at = [(one if one.tzinfo else one.replace(tzinfo=zone)).timestamp() for one in found]
    if len(at) > 2 or (len(at) == 2 and at[1] <= at[0]):
        raise UsageError(_AT)
    return at[0], at[1] if len(at) == 2 else None
