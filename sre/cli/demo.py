"""`sre demo`: the whole story on this machine, or a healthy set to play with."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sre.cli.options import Run, common_options
from sre.core.secrets import redactor

if TYPE_CHECKING:
    from sre.demo.act import Act
    from sre.demo.loop import Numbers
    from sre.demo.stage import Stage
    from sre.demo.watch import Watch

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
    """A shop that is watched, stressed, backed up, damaged and restored on this machine.

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

    with status("starting", enabled=run.progress) as say, staged(folder, say) as stage:
        if run.format == "text":
            run.emit(_opening(stage))
        if hold:
            _hold(stage, run, say, None)
        return _tell(stage, run, say, once=once)


def _tell(stage: Stage, run: Run, say: Any, *, once: bool) -> int:
    from sre.demo.loop import Numbers, loop_acts  # noqa: PLC0415
    from sre.demo.story import first_acts  # noqa: PLC0415
    from sre.demo.watch import watching  # noqa: PLC0415
    from sre.settings import load_settings  # noqa: PLC0415

    objective = load_settings(stage.config).objectives[0]
    acts = list(_shown(first_acts(stage, say), run))
    numbers = Numbers()
    with watching(stage, objective) as watch:
        loop = loop_acts(stage, watch, numbers, say)
        acts += _shown(loop, run, len(acts))
        code = 0 if all(act.as_planned for act in acts) else 1
        report = _write_report(stage, acts, numbers, watch)
        if run.format == "text":
            run.emit(_closing(acts, numbers, report))
        else:
            run.emit(json.dumps(_data(stage, acts, numbers, code), indent=2))
        if not once:
            _hold(stage, run, say, watch.url)
    return code


def _shown(acts: Iterable[Act], run: Run, before: int = 0) -> Iterator[Act]:
    for number, act in enumerate(acts, before + 1):
        if run.format == "text":
            run.emit(_act(number, act))
        yield act


def _write_report(stage: Stage, acts: list[Act], numbers: Numbers, watch: Watch) -> Path:
    from sre.core.files import replace_file  # noqa: PLC0415
    from sre.demo.report import render  # noqa: PLC0415

    path = stage.folder / "report.html"
    replace_file(path, redactor.mask(render(acts, numbers, watch.seen, stage.shop.url)).encode())
    return path


def _hold(stage: Stage, run: Run, say: Any, page: str | None) -> None:
    say(f"the shop is up at {stage.shop.url}; Ctrl-C ends it")
    if run.format == "text":
        where = f"\nThe status page is at {page}/\n" if page else "\n"
        run.emit(
            f"{where}The shop stays up at {stage.shop.url} until Ctrl-C. In a second terminal:\n"
            f"  sre probe run --config {stage.config}\n"
            f"  sre demo fault payment on --dir {stage.folder}\n"
            f"  sre loadtest run release --config {stage.config}\n"
            f"  sre backup run orders --config {stage.config}\n"
            f"  sre probe serve --web.listen-address 127.0.0.1:0 --config {stage.config}\n"
            f"  sre check --only links --config {stage.config}\n"
            "docs/first-hour.md goes on from here."
        )
    threading.Event().wait()


def _opening(stage: Stage) -> str:
    return (
        "sre demo: a shop, watched, stressed, backed up, damaged and restored\n\n"
        f"  PostgreSQL {stage.postgres.version} on 127.0.0.1:{stage.postgres.port}\n"
        f"  the shop on {stage.shop.url}\n"
        f"  declared once in {stage.config}"
    )


def _act(number: int, act: Act) -> str:
    mark = "as planned" if act.as_planned else f"NOT as planned: expected exit {act.expected}"
    head = f"\n{number}. {act.title}\n   $ {act.command}"
    body = "".join(f"\n     {line}" for line in act.lines)
    return f"{head}{body}\n   exit {act.code}, {act.seconds:.1f} s, {mark}"


def _closing(acts: list[Act], numbers: Numbers, report: Path) -> str:
    good = sum(act.as_planned for act in acts)
    seconds = sum(act.seconds for act in acts)
    verdict = "The loop held" if good == len(acts) else "The loop did NOT hold"
    gates = " / ".join(str(act.data["verdict"]) for act in acts if "verdict" in act.data)
    return (
        f"\n{verdict}: {good} of {len(acts)} acts went as planned, in {seconds:.0f} s.\n"
        f"  detection {_seconds(numbers.detection)}   from the damage to the page\n"
        f"  RTO       {_seconds(numbers.rto)}   from the damage to a purchase that works\n"
        f"  RPO       {_seconds(numbers.rpo)}   from the backup to the damage: orders lost\n"
        f"  gate      {gates}\n"
        f"  report    {report}"
    )


def _seconds(value: float | None) -> str:
    return "  unknown" if value is None else f"{value:7.1f} s"


def _data(stage: Stage, acts: list[Act], numbers: Numbers, code: int) -> dict[str, Any]:
    return {
        "schema": "sre.demo/1",
        "passed": code == 0,
        "url": stage.shop.url,
        "config": str(stage.config),
        "report": str(stage.folder / "report.html"),
        "detection_seconds": numbers.detection,
        "rto_seconds": numbers.rto,
        "rpo_seconds": numbers.rpo,
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
