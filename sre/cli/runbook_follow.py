"""What do the options of `sre runbook run` and `resume` ask for, and how is a run shown?"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sre.cli.options import Run
from sre.core.errors import UsageError

if TYPE_CHECKING:
    from sre.runbook.approval import Policy
    from sre.runbook.model import Runbook
    from sre.runbook.start import Order
    from sre.runbook.summary import Summary

__all__ = ["dry_run", "follow", "given_of", "order_of", "policy_of"]


def given_of(words: tuple[str, ...], book: Runbook, run: Run) -> dict[str, str]:
    """--var as a mapping; a variable CONFIG takes --config unless it is given."""
    found = _pairs(words, "--var", "NAME=VALUE")
    if "CONFIG" in book.front.vars and run.config_path.exists():
        found.setdefault("CONFIG", str(run.config_path))
    return found


def _pairs(words: tuple[str, ...], option: str, form: str) -> dict[str, str]:
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise click.UsageError(f"{option} {name}: expected {form}")
        found[name] = value
    return found


def policy_of(
    yes: bool, confirm: tuple[str, ...], answers: tuple[str, ...], on_failure: str,
    assume: str | None, rehearse: bool,
) -> Policy:  # fmt: skip
    from sre.cli.runbook_talk import at_terminal  # noqa: PLC0415  only when it runs
    from sre.runbook.approval import Policy  # noqa: PLC0415

    manual: Any = _pairs(answers, "--answer", "ID=done|skip|failed")
    for name, choice in manual.items():
        if choice not in {"done", "skip", "failed"}:
            raise click.UsageError(f"--answer {name}: expected done, skip or failed")
    wish: Any = on_failure
    known: Any = assume
    interactive = at_terminal() and not rehearse
    return Policy(yes, frozenset(confirm), manual, known, wish, interactive, rehearse)


def order_of(given: dict[str, str], policy: Policy, fail_back: bool, run: Run) -> Order:
    from sre.runbook.start import Order  # noqa: PLC0415  only when it runs

    config = run.config_path
    return Order(given, policy, fail_back, _referred(config), str(config.resolve()))


def _referred(config: Path) -> dict[str, str]:
    """The environment that sre.yaml refers to: the `sre` commands of a runbook need it."""
    from sre.core.config import read_tree  # noqa: PLC0415

    if not config.is_file():
        return {}
    try:
        texts = [node.text for node in read_tree(config).scalars()]
    except UsageError:  # the commands that need it will say so; the others shall run
        return {}
    names = {name for text in texts for name in re.findall(r"\$\{env:([A-Za-z_]\w*)\}", text)}
    return {name: os.environ[name] for name in sorted(names) if name in os.environ}  # noqa: TID251


def follow(make: Callable[[Any], Any], policy: Policy, run: Run) -> int:
    from sre.cli.runbook_talk import Terminal  # noqa: PLC0415  only when it runs
    from sre.runbook.render import summary_data, summary_text, to_json  # noqa: PLC0415

    runner = make(Terminal(err=run.format == "json"))
    summary: Summary = runner.follow()
    if run.format == "json":
        run.emit(to_json("runbook-run", **summary_data(summary)))
    else:
        run.emit(summary_text(summary))
    return 8 if summary.exit_code is None else summary.exit_code


def dry_run(path: Path, order: Order, run: Run) -> int:
    from sre.runbook.dry import dry_run as look  # noqa: PLC0415  only when it runs
    from sre.runbook.render import to_json  # noqa: PLC0415

    found = look(path, order)
    if run.format == "json":
        run.emit(to_json("runbook-dry-run", preconditions=found.data(), plan=found.plan))
    else:
        run.emit(found.text())
    return 0 if found.ok else 5
