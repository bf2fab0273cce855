"""`sre slo`: what is promised, whether it can be measured, what alerts, how it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sre.cli.options import Run, common_options
from sre.core.errors import CheckFailed, Problem, Untrusted, UsageError

if TYPE_CHECKING:
    from sre.settings import Settings
    from sre.slo.promise import Promise

__all__ = ["promises_of", "rule_file_name", "service_of", "slo"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def slo() -> None:
    """Objectives: Prometheus rules, lint, how they stand."""


@slo.command()
@click.option(
    "--out",
    default="-",
    show_default=True,
    metavar="DIR|-",
    help="Folder for SHOP.rules.yml (and tests/SHOP_test.yaml); - is standard output.",
)
@click.option("--tests", is_flag=True, help="Also write unit tests for `promtool test rules`.")
@common_options
def rules(out: str, tests: bool, run: Run) -> int:
    """Write the Prometheus rules of all objectives: recordings and multi-window alerts.

    They carry Sloth's names and labels, and need Prometheus 2.42 or newer.
    """
    if out == "-" and tests:
        raise UsageError("--tests writes files; name a folder with --out DIR")
    from sre.slo.rules import rule_file  # noqa: PLC0415  only when it runs

    settings = run.settings()
    promises = _watched(promises_of(settings))
    text = rule_file(promises)
    if out == "-":
        run.emit(text.rstrip("\n"))
        return 0
    name = service_of(settings)
    written = [_write(Path(out) / rule_file_name(name), text)]
    if tests:
        from sre.slo.ruletests import rule_test_file  # noqa: PLC0415

        cases = rule_test_file(promises, f"../{rule_file_name(name)}")
        written.append(_write(Path(out) / "tests" / f"{name}_test.yaml", cases))
    run.emit("\n".join(str(path) for path in written))
    return 0


@slo.command()
@common_options
def lint(run: Run) -> int:
    """Name objectives that their probes cannot measure, and alerts that nobody can act on.

    Exit 1 when there are errors; warnings alone are 0.
    """
    from sre.slo.lint import lint as find  # noqa: PLC0415  only when it runs
    from sre.slo.render import findings_as_json, findings_as_text  # noqa: PLC0415

    settings = run.settings()
    promises = promises_of(settings)
    findings, places = find(promises), _places(settings)
    as_json = run.format == "json"
    run.emit(
        findings_as_json(findings, places)
        if as_json
        else findings_as_text(findings, places, len(promises))
    )
    failed = any(finding.severity == "error" for finding in findings)
    return CheckFailed.exit_code if failed else 0


@slo.command()
@click.option(
    "--prometheus",
    "url",
    default="http://127.0.0.1:9090",
    show_default=True,
    metavar="URL",
    help="Where the rules are loaded.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 300),
    default=10.0,
    show_default=True,
    help="Seconds for each question.",
)
@common_options
def status(url: str, timeout: float, run: Run) -> int:
    """Show each objective as Prometheus has recorded it: share, budget left, burn rates, alerts.

    Exit 1 when an alert fires, 3 when an objective has no data, 4 when Prometheus does not answer.
    """
    from sre.slo.prometheus import Prometheus  # noqa: PLC0415  only when it runs
    from sre.slo.render import status_as_json, status_as_text  # noqa: PLC0415
    from sre.slo.status import questions, standings  # noqa: PLC0415

    settings = run.settings()
    server = Prometheus(url, timeout)
    recorded, alerts = (server.query(question) for question in questions(service_of(settings)))
    found = standings(promises_of(settings), recorded, alerts)
    run.emit(status_as_json(found) if run.format == "json" else status_as_text(found))
    if any(one.state == "burning" for one in found):
        return CheckFailed.exit_code
    return Untrusted.exit_code if any(one.state != "ok" for one in found) else 0


def promises_of(settings: Settings) -> tuple[Promise, ...]:
    """The objectives with the probes that watch them and the addresses that alerts link to."""
    from sre.probes.plan import all_checks  # noqa: PLC0415  only when it runs
    from sre.slo.promise import Promise, Watch  # noqa: PLC0415

    checks = all_checks(settings.probes, settings.journeys)
    made = []
    for about in settings.objectives:
        journey = about.step.partition("/")[0] if about.step else about.journey
        watches = tuple(
            Watch(check.name, float(check.every))
            for check in checks
            if (check.journey == journey if journey else check.name == about.probe)
        )
        links = settings.links
        made.append(Promise(about, service_of(settings), watches, links.runbooks, links.dashboards))
    return tuple(made)


def service_of(settings: Settings) -> str:
    """The shop's name as labels and files carry it."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", settings.shop.name).strip("-.") or "shop"


def rule_file_name(service: str) -> str:
    """The file that holds a service's rules."""
    return f"{service}.rules.yml"


def _watched(promises: tuple[Promise, ...]) -> tuple[Promise, ...]:
    if not promises:
        raise UsageError("there are no objectives; declare some under 'objectives:'")
    for promise in promises:
        if not promise.watches:
            raise UsageError(
                f"objective {promise.objective.name!r}: no probe runs "
                f"{promise.objective.subject!r}; give the journey an 'every'"
            )
    return promises


def _write(path: Path, text: str) -> Path:
    from sre.core.files import replace_file  # noqa: PLC0415  only when it runs

    try:
        replace_file(path, text.encode(), mode=0o644)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    return path


def _places(settings: Settings) -> dict[str, Problem]:
    """Where each objective stands in its file."""
    from sre.core.config import read_tree  # noqa: PLC0415

    node = read_tree(settings.path).get("objectives")
    return {
        objective.name: Problem(item.file, item.line, item.col, f"objectives[{index}]", "")
        for index, (objective, item) in enumerate(
            zip(settings.objectives, node.elements if node else (), strict=True)
        )
    }
