"""`sre dashboards`: Grafana dashboards of this shop, and whether they name what exists."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sre.cli.options import Run, common_options
from sre.core.errors import CheckFailed, UsageError

if TYPE_CHECKING:
    from sre.core.config import Node
    from sre.settings import Settings
    from sre.slo.dashboards import Shown
    from sre.slo.vocabulary import Drawn

__all__ = ["dashboards", "shown_of"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def dashboards() -> None:
    """Grafana dashboards: build them, check them."""


@dashboards.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("dashboards/grafana"),
    show_default=True,
    metavar="DIR",
    help="Folder for storefront.json and journeys.json.",
)
@common_options
def build(out: Path, run: Run) -> int:
    """Write the dashboards of this declaration: storefront.json and journeys.json."""
    from sre.core.files import replace_file  # noqa: PLC0415  only when it runs
    from sre.slo.dashboards import build as build_all  # noqa: PLC0415

    shown = shown_of(run.settings())
    if not shown.journeys:
        raise UsageError("no journey runs as a probe, so there is nothing to draw")
    try:
        for name, text in build_all(shown).items():
            replace_file(out / name, text.encode(), mode=0o644)
            run.emit(str(out / name))
    except OSError as error:
        raise UsageError(f"cannot write into {out}: {error.strerror}") from error
    return 0


@dashboards.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH]...")
@common_options
def check(paths: tuple[Path, ...], run: Run) -> int:
    """Check dashboards (.json) and rule files (.rules.yml): files, or folders with them.

    Every metric must be exported by this version, recorded by one of the rule files, or named by
    the declaration, if there is one. Without a PATH: ./dashboards, else the ones that were
    installed. Exit 1 when something is wrong.
    """
    from sre.probes.catalogue import all_metrics, metrics_of  # noqa: PLC0415  only when it runs
    from sre.slo.vocabulary import faults  # noqa: PLC0415

    files = [_read(path) for path in _files(paths or (_default_folder(),))]
    if not files:
        raise UsageError("no dashboards and no rule files there; build some first")
    found = faults(files, all_metrics())
    if found and run.config_path.exists():
        found = faults(files, metrics_of(run.settings().probes))
    if run.format == "json":
        problems = [{"file": f.path, "path": f.where, "message": f.message} for f in found]
        run.emit(json.dumps({"schema": "sre.dashboards/1", "problems": problems}, indent=2))
    else:
        queries = sum(len(file.queries) for file in files)
        good = f"{len(files)} files, {queries} queries: good"
        run.emit("\n".join(map(str, found)) if found else good)
    return CheckFailed.exit_code if found else 0


def shown_of(settings: Settings) -> Shown:
    """What the dashboards show of a declaration."""
    from sre.cli.slo import promises_of, service_of  # noqa: PLC0415
    from sre.probes.plan import all_checks  # noqa: PLC0415
    from sre.slo.dashboards import JourneyShown, Shown  # noqa: PLC0415
    from sre.slo.promise import Watch  # noqa: PLC0415

    checks = all_checks(settings.probes, settings.journeys)
    journeys = []
    for journey in settings.journeys.values():
        mine = tuple(Watch(c.name, float(c.every)) for c in checks if c.journey == journey.name)
        if mine:
            steps = tuple(step.name for step in journey.steps)
            journeys.append(JourneyShown(journey.name, steps, mine))
    return Shown(
        service=service_of(settings),
        promises=tuple(promise for promise in promises_of(settings) if promise.watches),
        journeys=tuple(journeys),
        slowest=max((float(check.every) for check in checks), default=60.0),
        host=any(check.kind == "host" for check in checks),
        runbooks=settings.links.runbooks,
    )


def _default_folder() -> Path:
    here = Path("dashboards")
    return here if here.is_dir() else Path(__file__).parent.parent / "data" / "dashboards"


def _files(paths: tuple[Path, ...]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted([*path.rglob("*.json"), *path.rglob("*.rules.yml")])
        elif path.exists():
            yield path
        else:
            raise UsageError(f"{path}: no such file or folder")


def _read(path: Path) -> Drawn:
    from sre.core.config import read_tree  # noqa: PLC0415
    from sre.slo.vocabulary import Drawn  # noqa: PLC0415

    if path.suffix != ".json":
        rules = list(_rules(read_tree(path)))
        queries = [(str(name), str(expr)) for _, name, expr in rules]
        records = frozenset(str(name) for kind, name, _ in rules if kind == "record")
        return Drawn(str(path), tuple(queries), records)
    try:
        board: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        queries = [
            (f"{panel['title']}, {target['refId']}", str(target["expr"]))
            for panel in board["panels"]
            for target in panel.get("targets", ())
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is not a dashboard: {error!r}") from error
    return Drawn(str(path), tuple(queries), board=board)


def _rules(root: Node) -> Iterator[tuple[str, Any, Any]]:
    groups = root.get("groups")
    for group in groups.elements if groups else ():
        rules = group.get("rules")
        for rule in rules.elements if rules else ():
            plain = rule.plain()
            kind = "record" if "record" in plain else "alert"
            yield kind, plain.get(kind), plain.get("expr")
