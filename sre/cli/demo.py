"""`sre demo`: the whole story on this machine, or a healthy set to play with."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sre.cli.options import Run, common_options

if TYPE_CHECKING:
    from sre.demo.stage import Stage
    from sre.demo.story import Act

__all__ = ["demo"]

FAULTS = ("latency", "errors", "slow-db", "oversell", "payment")
_DIR = click.Path(path_type=Path, file_okay=False)


@click.group(invoke_without_command=True)
@click.option("--once", is_flag=True, help="Tell the story, report, and end with an exit code.")
@click.option("--hold", is_flag=True, help="No story: keep a healthy set running until Ctrl-C.")
@click.option("--dir", "folder", type=_DIR, default=Path(".sre-demo"), show_default=True)
@common_options
@click.pass_context
def demo(ctx: click.Context, once: bool, hold: bool, folder: Path, run: Run) -> int:
    """A shop, its probes, a load gate and a fault: watched, stressed and broken on this machine.

    Without options the story is told once and the set then stays up until Ctrl-C. Everything is
    kept in --dir, and nothing is left running. DIR/sre.yaml is the declaration that drives it all:
    use it with other commands in a second terminal.
    """
    if ctx.invoked_subcommand is not None:
        return 0
    if once and hold:
        raise click.UsageError("--once and --hold exclude each other")
    return _play(folder, run, once=once, hold=hold)


@demo.command("fault")
@click.argument("name", type=click.Choice(FAULTS))
@click.argument("state", type=click.Choice(["on", "off"]))
@click.option("--dir", "folder", type=_DIR, default=Path(".sre-demo"), show_default=True)
@common_options
def fault_command(name: str, state: str, folder: Path, run: Run) -> int:
    """Switch a fault of the running demo on or off."""
    from sre.demo.stage import fault  # noqa: PLC0415  only when it runs

    fault(folder, name, state == "on")
    if run.format == "json":
        run.emit(json.dumps({"schema": "sre.demo-fault/1", "fault": name, "on": state == "on"}))
    else:
        run.emit(f"{name} is {state}")
    return 0


def _play(folder: Path, run: Run, *, once: bool, hold: bool) -> int:
    from sre.core.console import status  # noqa: PLC0415  only when it runs
    from sre.demo.stage import staged  # noqa: PLC0415

    text = run.format == "text"
    with status("starting", enabled=run.progress) as say, staged(folder, say) as stage:
        if text:
            run.emit(_opening(stage))
        acts = [] if hold else _acts(stage, run, say)
        code = 0 if all(act.as_planned for act in acts) else 1
        if not text:
            run.emit(json.dumps(_data(stage, acts, code), indent=2))
        elif acts:
            run.emit(_closing(acts))
        if not once:
            say(f"the shop is up at {stage.shop.url}; Ctrl-C ends it")
            _hold(stage, run)
    return code


def _acts(stage: Stage, run: Run, say: Any) -> list[Act]:
    from sre.demo.story import tell  # noqa: PLC0415

    acts = []
    for number, act in enumerate(tell(stage, say), 1):
        acts.append(act)
        if run.format == "text":
            run.emit(_act(number, act))
    return acts


def _hold(stage: Stage, run: Run) -> None:
    if run.format == "text":
        run.emit(
            f"\nThe shop stays up at {stage.shop.url} until Ctrl-C. In a second terminal:\n"
            f"  sre probe run --config {stage.config}\n"
            f"  sre demo fault payment on --dir {stage.folder}\n"
            f"  sre loadtest run release --config {stage.config}"
        )
    threading.Event().wait()


def _opening(stage: Stage) -> str:
    return (
        "sre demo: a shop, watched, stressed and broken\n\n"
        f"  PostgreSQL {stage.postgres.version} on 127.0.0.1:{stage.postgres.port}\n"
        f"  the shop on {stage.shop.url}\n"
        f"  declared once in {stage.config}"
    )


def _act(number: int, act: Act) -> str:
    mark = "as planned" if act.as_planned else f"NOT as planned: expected exit {act.expected}"
    head = f"\n{number}. {act.title}\n   $ {act.command}"
    body = "".join(f"\n     {line}" for line in act.lines)
    return f"{head}{body}\n   exit {act.code}, {act.seconds:.1f} s, {mark}"


def _closing(acts: list[Act]) -> str:
    good = sum(act.as_planned for act in acts)
    seconds = sum(act.seconds for act in acts)
    verdict = "The loop held" if good == len(acts) else "The loop did NOT hold"
    return f"\n{verdict}: {good} of {len(acts)} acts went as planned, in {seconds:.0f} s."


def _data(stage: Stage, acts: list[Act], code: int) -> dict[str, Any]:
    return {
        "schema": "sre.demo/1",
        "passed": code == 0,
        "url": stage.shop.url,
        "config": str(stage.config),
        "acts": [
            {
                "title": act.title,
                "command": act.command,
                "expected": act.expected,
                "exit_code": act.code,
                "seconds": round(act.seconds, 3),
                "as_planned": act.as_planned,
            }
            for act in acts
        ],
    }
