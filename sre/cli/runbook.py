"""`sre runbook`: lint, show, follow, resume and rehearse procedures written in Markdown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sre.cli.options import Run, common_options
from sre.cli.runbook_follow import dry_run as dry_run_of
from sre.cli.runbook_follow import follow, given_of, order_of, policy_of

if TYPE_CHECKING:
    from sre.runbook.model import Runbook

__all__ = ["runbook"]

_PATH = click.Path(path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def runbook() -> None:
    """Follow a procedure: one Markdown file for the person and for the machine."""


def _var_option(command: Callable[..., Any]) -> Callable[..., Any]:
    help_text = "A variable's value; a secret's is a reference: '${env:X}'. May be repeated."
    return click.option("--var", "--set", "given", multiple=True, metavar="NAME=VALUE",
                        help=help_text)(command)  # fmt: skip


def _following_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What both `run` and `resume` take."""
    options = (
        click.option("--yes", is_flag=True, help="Do not ask before steps that destroy nothing."),
        click.option("--confirm", multiple=True, metavar="NAME",
                     help="The name that a destructive step wants typed. May be repeated."),
        click.option("--answer", "answers", multiple=True, metavar="ID=done|skip|failed",
                     help="The answer to a manual step. May be repeated."),
        click.option("--on-failure", type=click.Choice(["ask", "rollback", "hold"]), default="ask",
                     show_default=True, help="Take changes back? hold leaves all as it is."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@runbook.command("lint")
@click.argument("paths", nargs=-1, type=_PATH, metavar="[PATH]...")
@common_options
def lint_command(paths: tuple[Path, ...], run: Run) -> int:
    """Everything wrong with runbooks at once, each with file and line. Exit 1 with errors.

    Without PATH all of ./runbooks. Nothing is executed.
    """
    from sre.runbook.library import documents  # noqa: PLC0415  only when it runs
    from sre.runbook.lint import errors, lint_all  # noqa: PLC0415
    from sre.runbook.render import findings_data, findings_text, to_json  # noqa: PLC0415
    from sre.runbook.start import syntax_findings  # noqa: PLC0415

    found = documents(paths)
    syntax = [finding for document in found for finding in syntax_findings(document)]
    findings = tuple(sorted({*lint_all(found, command_names(), _text_of), *syntax}))
    if run.format == "json":
        run.emit(to_json("runbook-lint", files=len(found), findings=findings_data(findings)))
    else:
        run.emit(findings_text(findings, len(found)))
    return 1 if errors(findings) else 0


@runbook.command("list")
@click.argument("paths", nargs=-1, type=_PATH, metavar="[PATH]...")
@common_options
def list_command(paths: tuple[Path, ...], run: Run) -> int:
    """Which runbooks there are, what they answer, and when each was last rehearsed."""
    from sre.runbook.library import find  # noqa: PLC0415  only when it runs
    from sre.runbook.render import list_data, list_text, to_json  # noqa: PLC0415

    found = find(paths)
    facts = {name: _fact(name) for name in found}
    if run.format == "json":
        run.emit(to_json("runbooks", runbooks=list_data(found.values(), facts)))
    else:
        run.emit(list_text(found.values(), {name: _rehearsed(facts[name]) for name in facts}))
    return 0


@runbook.command("show")
@click.argument("name", metavar="FILE|ID")
@_var_option
@common_options
def show_command(name: str, given: tuple[str, ...], run: Run) -> int:
    """A runbook with its variables filled in. Nothing is executed; secrets stay names."""
    from sre.runbook.render import runbook_data, runbook_text, to_json  # noqa: PLC0415

    book = _read(name)
    values = _shown(book, given_of(given, book, run))
    if run.format == "json":
        run.emit(to_json("runbook", **runbook_data(book, values)))
    else:
        run.emit(runbook_text(book, values))
    return 0


@runbook.command("env")
@click.argument("name", metavar="FILE|ID")
@_var_option
@common_options
def env_command(name: str, given: tuple[str, ...], run: Run) -> int:
    """Lines for a shell to `eval`, before pasting the blocks. Secrets appear by name alone."""
    from sre.runbook.variables import exports  # noqa: PLC0415  only when it runs

    book = _read(name)
    values = given_of(given, book, run)
    run.emit(exports(book.front, values))
    return 0


@runbook.command("run")
@click.argument("name", metavar="FILE|ID")
@_var_option
@_following_options
@click.option("--rehearse", is_flag=True, help="Only on the targets that the front matter names.")
@click.option("--dry-run", is_flag=True, help="Check the preconditions, print the rest.")
@click.option("--fail-back", is_flag=True, help="Follow the section Fail back instead of Steps.")
@common_options
def run_command(  # noqa: PLR0913  each is an option
    *, name: str, given: tuple[str, ...], yes: bool, confirm: tuple[str, ...],
    answers: tuple[str, ...], on_failure: str, rehearse: bool, dry_run: bool, fail_back: bool,
    run: Run,
) -> int:  # fmt: skip
    """Follow a runbook: preconditions, steps, verification; each change is asked for.

    On a terminal y, skip, abort or output answer; elsewhere --yes, --confirm and --answer do. A
    secret is given by reference and masked everywhere.

    Exit code: 0 verified; 1 a check failed (or all was rolled back); 5 refused, or a precondition
    does not hold; 6 another run works on the target; 8 incomplete or aborted; 130, 143.
    """
    from sre.runbook.library import locate  # noqa: PLC0415  only when it runs
    from sre.runbook.parse import parse  # noqa: PLC0415
    from sre.runbook.start import new_run, sound  # noqa: PLC0415

    path = locate(name)
    policy = policy_of(yes, confirm, answers, on_failure, None, rehearse)
    order = order_of(given_of(given, sound(parse(path)), run), policy, fail_back, run)
    if dry_run:
        return dry_run_of(path, order, run)
    return follow(lambda talk: new_run(path, order, talk), policy, run)


@runbook.command("resume")
@click.argument("name", metavar="RUN")
@_following_options
@click.option("--assume", type=click.Choice(["done", "redo"]),
              help="For a step of which nobody knows whether it happened.")  # fmt: skip
@common_options
def resume_command(
    *, name: str, yes: bool, confirm: tuple[str, ...], answers: tuple[str, ...], on_failure: str,
    assume: str | None, run: Run,
) -> int:  # fmt: skip
    """Go on with a run that was interrupted, killed, held or refused.

    What is recorded as done is not done again. RUN may be cut short while it stays unique.
    """
    from sre.runbook.start import resumed_run  # noqa: PLC0415  only when it runs

    policy = policy_of(yes, confirm, answers, on_failure, assume, False)
    order = order_of({}, policy, False, run)
    return follow(lambda talk: resumed_run(name, order, talk), policy, run)


@runbook.command("history")
@common_options
def history_command(run: Run) -> int:
    """All runs with result and seconds, the latest last."""
    from sre.core.journal import Journal  # noqa: PLC0415  only when it runs
    from sre.runbook.render import history_text, summary_data, to_json  # noqa: PLC0415
    from sre.runbook.store import all_runs  # noqa: PLC0415
    from sre.runbook.summary import summary_of  # noqa: PLC0415

    found = [
        summary_of(each.request, Journal(each.path / "journal.jsonl").read().entries)
        for each in all_runs()
    ]
    if run.format == "json":
        run.emit(to_json("runbook-history", runs=[summary_data(each) for each in found]))
    else:
        run.emit(history_text(found))
    return 0


def command_names() -> frozenset[str]:
    """Every command there is, such as `probe run`; loads the modules of all."""
    from sre.cli.main import cli  # noqa: PLC0415  it may be loading us

    names: set[str] = set()

    def walk(command: click.Command, path: tuple[str, ...]) -> None:
        if path:
            names.add(" ".join(path))
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                if found := command.get_command(context, name):
                    walk(found, (*path, name))

    walk(cli, ())
    groups = {name.rpartition(" ")[0] for name in names}
    return frozenset(names - groups) | ({"demo"} & names)


def _text_of(path: Path) -> str | None:
    if path.is_file():
        return path.read_text(encoding="utf-8", errors="replace")
    return "" if path.exists() else None


def _read(name: str) -> Runbook:
    from sre.core.errors import ConfigError, Problem  # noqa: PLC0415
    from sre.runbook.library import locate  # noqa: PLC0415  only when it runs
    from sre.runbook.parse import parse  # noqa: PLC0415

    document = parse(locate(name))
    found = document.runbook()
    if found is None:
        wrong = (each for each in document.findings if each.rule == "front-matter")
        raise ConfigError([Problem(each.file, each.line, 1, "", each.message) for each in wrong])
    return found


def _shown(book: Runbook, given: dict[str, str]) -> dict[str, str]:
    from sre.runbook.variables import text_of  # noqa: PLC0415

    plain = {name: each for name, each in book.front.vars.items() if not each.secret}
    values = {n: text_of(v.default) for n, v in plain.items() if v.default is not None}
    return {**values, **{name: value for name, value in given.items() if name in plain}}


def _fact(name: str) -> dict[str, Any]:
    from sre.core.facts import Facts  # noqa: PLC0415  only when it runs
    from sre.runbook.publish import fact_name  # noqa: PLC0415

    fact = Facts().read(fact_name(name))
    return dict(fact.value) if fact is not None else {}


def _rehearsed(fact: dict[str, Any]) -> str:
    from datetime import UTC, datetime  # noqa: PLC0415

    last = fact.get("last_rehearsal")
    if not last:
        return "never"
    day = datetime.fromtimestamp(last["at"], UTC).strftime("%Y-%m-%d")
    return f"{day} {last['result']}, {last['seconds']:.0f} s"
