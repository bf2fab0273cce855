"""`sre traffic degrade`, `restore`, `levels`: what does the shop give up for now, and get back?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sre.cli.options import Run, common_options

if TYPE_CHECKING:
    from sre.failover.degrade.engine import Bench

__all__ = ["degrade_command", "levels_command", "restore_command"]

_reason = click.option("--reason", default="", help="Why; it stands in the history.")
_metrics_file = click.option(
    "--metrics-file", type=click.Path(path_type=Path), metavar="FILE",
    help="Also write sre_degrade_… for node_exporter's textfile collector.",
)  # fmt: skip


@click.command("degrade")
@click.argument("level")
@click.option("--for", "lasts", metavar="AGE", help="Due after so long: `restore --due` ends it.")
@_reason
@click.option("--dry-run", is_flag=True, help="Show what would change; nothing is changed.")
@_metrics_file
@common_options
def degrade_command(
    level: str, lasts: str | None, reason: str, dry_run: bool, metrics_file: Path | None, run: Run
) -> int:
    """Bring LEVEL about: all of it, or nothing and an error. Again: what is missing of it."""
    from sre.failover.degrade.engine import Order, apply_level  # noqa: PLC0415  when it runs
    from sre.failover.degrade.render import brought_as_json, brought_as_text  # noqa: PLC0415

    bench = _bench(run)
    seconds = None if lasts is None else _seconds(lasts, bench, level)
    done = apply_level(bench, level, Order(reason, seconds), dry_run=dry_run)
    render = brought_as_json if run.format == "json" else brought_as_text
    run.emit(render(done, bench.tools.clock.wall(), dry_run=dry_run))
    if not dry_run:
        _metrics(metrics_file, bench)
    return 0


@click.command("restore")
@click.argument("levels", nargs=-1, metavar="[LEVEL]...")
@click.option("--due", is_flag=True, help="Only those whose time is over; for a timer.")
@click.option(
    "--force", is_flag=True,
    help="Also what was changed by hand meanwhile; give up what does not answer.",
)  # fmt: skip
@_reason
@click.option("--dry-run", is_flag=True, help="Show what would change; nothing is changed.")
@_metrics_file
@common_options
def restore_command(  # noqa: PLR0917  click passes them by name
    levels: tuple[str, ...],
    due: bool,
    force: bool,
    reason: str,
    dry_run: bool,
    metrics_file: Path | None,
    run: Run,
) -> int:
    """Bring back what was before LEVEL; without a name, before every level but the manual ones.

    Exit code 3 when something stays as somebody made it by hand, 4 when something does not answer
    (the level then stays on; run it again).
    """
    from sre.failover.degrade.render import restored_as_json, restored_as_text  # noqa: PLC0415
    from sre.failover.degrade.restore import Wish, restore  # noqa: PLC0415

    bench = _bench(run)
    done = restore(bench, Wish(levels, due, force, reason), dry_run=dry_run)
    render = restored_as_json if run.format == "json" else restored_as_text
    run.emit(render(done, bench.read(), dry_run=dry_run))
    if not dry_run:
        _metrics(metrics_file, bench)
    return 0 if dry_run else max((each.code for each in done), default=0)


@click.command("levels")
@_metrics_file
@common_options
def levels_command(metrics_file: Path | None, run: Run) -> int:
    """Show which levels are on, since when and by whom, and whether all of each really holds.

    Exit code 3 when a level is on in part, or somebody changed by hand what it brought about.
    """
    from sre.failover.degrade.look import look  # noqa: PLC0415  only when it runs
    from sre.failover.degrade.render import levels_as_json, levels_as_text  # noqa: PLC0415

    bench = _bench(run)
    found = look(bench)
    now = bench.tools.clock.wall()
    run.emit((levels_as_json if run.format == "json" else levels_as_text)(found, now))
    _metrics(metrics_file, bench)
    return 3 if any(each.wrong for each in found) else 0


def _bench(run: Run) -> Bench:
    from sre.failover.degrade.engine import Bench  # noqa: PLC0415  only when it runs
    from sre.failover.degrade.model import Tools  # noqa: PLC0415
    from sre.journey.guard import Guard  # noqa: PLC0415

    settings = run.settings()
    guard = Guard(settings.targets.allow, settings.shop.base_url)
    return Bench(settings.switching.degrade, Tools(guard))


def _seconds(text: str, bench: Bench, level: str) -> float:
    from sre.core.errors import UsageError  # noqa: PLC0415
    from sre.core.units import Duration  # noqa: PLC0415

    try:
        seconds = float(Duration.parse(text))
    except ValueError as error:
        raise UsageError(f"--for: {error}") from None
    if seconds <= 0:
        raise UsageError("--for must be above 0")
    if level in bench.levels and bench.levels[level].fields.undo == "manual":
        raise UsageError(f"{level} says undo: manual; it is never due, leave --for out")
    return seconds


def _metrics(path: Path | None, bench: Bench) -> None:
    if path is not None:
        from sre.failover.degrade.shown import write_metrics  # noqa: PLC0415

        write_metrics(path, bench.levels, bench.read())
