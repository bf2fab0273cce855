"""`sre traffic`: the switches before the shop and its databases; who gets work, who does not?"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from sre.cli.options import Run, common_options
from sre.cli.traffic_degrade import degrade_command, levels_command, restore_command
from sre.core.errors import CheckFailed, Transient, UsageError

if TYPE_CHECKING:
    from sre.core.clock import Deadline
    from sre.failover.model import Switch
    from sre.failover.switches import Way

__all__ = ["traffic"]

_dry_run = click.option("--dry-run", is_flag=True, help="Look, and say what would be done.")
_timeout = click.option(
    "--timeout",
    type=click.FloatRange(0.1, 3600),
    default=30.0,
    show_default=True,
    help="Seconds for the whole of it.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def traffic() -> None:
    """Look at the switches of traffic and change what they do, at run time and in their files."""


for _command in (degrade_command, restore_command, levels_command):
    traffic.add_command(_command)


@traffic.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@_timeout
@common_options
def status(names: tuple[str, ...], timeout: float, run: Run) -> int:
    """Show what each switch does: servers, states, sessions; all of them unless named.

    Exit code 4 when one does not answer, else 1 when one refuses us, else 3 when one has problems
    (its file and its run time differ).
    """
    from sre.core.clock import Deadline  # noqa: PLC0415  only when it runs
    from sre.failover.traffic.render import as_json, as_text  # noqa: PLC0415

    declared = run.settings().switching.traffic
    chosen = [_of(declared, name) for name in dict.fromkeys(names)] or list(declared.values())
    ways: dict[str, Way] = {}
    errors: dict[str, str] = {}
    codes: set[int] = set()
    for each in chosen:
        try:
            ways[each.name] = each.traffic.look(Deadline.after(timeout))
        except (Transient, CheckFailed) as error:
            errors[each.name] = str(error)
            codes.add(error.exit_code)
    kinds = {each.name: each.kind for each in chosen}
    run.emit((as_json if run.format == "json" else as_text)(ways, errors, kinds))
    if codes:
        return max(codes)
    return 3 if any(way.problems for way in ways.values()) else 0


@traffic.command()
@click.argument("name")
@click.argument("server")
@_dry_run
@_timeout
@common_options
def drain(name: str, server: str, dry_run: bool, timeout: float, run: Run) -> int:
    """SERVER takes no new work; what it has under way goes on."""
    switch = _named(run, name)
    act = _on(switch.traffic.drain, server)
    return _change(switch, f"drain {server}", act, dry_run, timeout, run)


@traffic.command()
@click.argument("name")
@click.argument("server")
@_dry_run
@_timeout
@common_options
def close(name: str, server: str, dry_run: bool, timeout: float, run: Run) -> int:
    """SERVER takes no new work, and its sessions end."""
    switch = _named(run, name)
    act = _on(switch.traffic.close, server)
    return _change(switch, f"close {server}", act, dry_run, timeout, run)


@traffic.command("open")
@click.argument("name")
@click.argument("server")
@_dry_run
@_timeout
@common_options
def open_command(name: str, server: str, dry_run: bool, timeout: float, run: Run) -> int:
    """SERVER takes work (again)."""
    switch = _named(run, name)
    act = _on(switch.traffic.open, server)
    return _change(switch, f"open {server}", act, dry_run, timeout, run)


@traffic.command()
@click.argument("name")
@click.argument("server")
@_dry_run
@_timeout
@common_options
def repoint(name: str, server: str, dry_run: bool, timeout: float, run: Run) -> int:
    """SERVER alone takes work: all others are closed first, their sessions ended."""
    switch = _named(run, name)
    act = _on(switch.traffic.repoint, server)
    return _change(switch, f"repoint to {server}", act, dry_run, timeout, run)


@traffic.command()
@click.argument("name")
@click.argument("server")
@click.argument("weight", type=click.IntRange(0, 65535))
@_dry_run
@_timeout
@common_options
def weigh(name: str, server: str, weight: int, dry_run: bool, timeout: float, run: Run) -> int:
    """SERVER gets WEIGHT parts of new work."""
    from sre.failover.switches import Weighing  # noqa: PLC0415  only when it runs

    switch = _named(run, name)
    able = switch.traffic
    if not isinstance(able, Weighing):
        raise UsageError(f"traffic {name!r}: the kind {switch.kind!r} knows no weights")

    def act(deadline: Deadline) -> None:
        able.weigh(server, weight, deadline)

    return _change(switch, f"weigh {server} {weight}", act, dry_run, timeout, run)


@traffic.command()
@click.argument("name")
@click.argument("state", type=click.Choice(["on", "off"]))
@_dry_run
@_timeout
@common_options
def maintain(name: str, state: str, dry_run: bool, timeout: float, run: Run) -> int:
    """Show everybody the maintenance page, or no longer."""
    from sre.failover.switches import Weighing  # noqa: PLC0415  only when it runs

    switch = _named(run, name)
    able = switch.traffic
    if not isinstance(able, Weighing):
        raise UsageError(f"traffic {name!r}: the kind {switch.kind!r} has no maintenance page")

    def act(deadline: Deadline) -> None:
        able.maintain(state == "on", deadline)

    return _change(switch, f"maintenance page {state}", act, dry_run, timeout, run)


@traffic.command()
@click.argument("name")
@_dry_run
@_timeout
@common_options
def pause(name: str, dry_run: bool, timeout: float, run: Run) -> int:
    """Let clients wait once their transactions are done; on a timeout they go on, exit code 4."""
    switch, able = _pausing(run, name)
    return _change(switch, "pause", able.pause, dry_run, timeout, run)


@traffic.command()
@click.argument("name")
@_dry_run
@_timeout
@common_options
def resume(name: str, dry_run: bool, timeout: float, run: Run) -> int:
    """Let clients that wait go on, whoever paused them."""
    switch, able = _pausing(run, name)
    return _change(switch, "resume", able.resume, dry_run, timeout, run)


def _change(
    switch: Switch,
    what: str,
    act: Callable[[Deadline], None],
    dry_run: bool,
    timeout: float,
    run: Run,
) -> int:
    from sre.core.clock import Deadline  # noqa: PLC0415  only when it runs
    from sre.core.journal import Journal  # noqa: PLC0415
    from sre.failover.traffic.change import changed, journal_path  # noqa: PLC0415
    from sre.failover.traffic.render import as_json, as_text  # noqa: PLC0415

    deadline = Deadline.after(timeout)
    if dry_run:
        way = switch.traffic.look(deadline)
        _known(what, way)
    else:
        way = changed(switch, what, lambda: act(deadline), deadline, Journal(journal_path()))
    render = as_json if run.format == "json" else as_text
    shown = render({switch.name: way}, {}, {switch.name: switch.kind})
    would = f"would {what}; nothing was changed. Now:\n"
    run.emit(shown if run.format == "json" or not dry_run else would + shown)
    return 3 if way.problems else 0


def _known(what: str, way: Way) -> None:
    words = what.removeprefix("repoint to ").split(" ")
    server = words[-1] if what.startswith("repoint") else words[1] if len(words) > 1 else ""
    names = [each.name for each in way.servers]
    if server and not what.startswith("maintenance") and server not in names:
        raise UsageError(f"there is no server {server!r}; known: {', '.join(names) or 'none'}")


def _on(method: Callable[[str, Deadline], None], server: str) -> Callable[[Deadline], None]:
    return lambda deadline: method(server, deadline)


def _pausing(run: Run, name: str) -> tuple[Switch, Any]:
    from sre.failover.switches import Pausing  # noqa: PLC0415  only when it runs

    switch = _named(run, name)
    if not isinstance(switch.traffic, Pausing):
        raise UsageError(f"traffic {name!r}: the kind {switch.kind!r} cannot let clients wait")
    return switch, switch.traffic


def _named(run: Run, name: str) -> Switch:
    return _of(run.settings().switching.traffic, name)


def _of(declared: Any, name: str) -> Switch:
    if name not in declared:
        known = ", ".join(sorted(declared)) or "none; declare one under 'traffic:'"
        raise UsageError(f"there is no traffic {name!r}; known: {known}")
    found: Switch = declared[name]
    return found
