"""How does a run begin, or go on: everything is checked before anything is done. (effects)"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from sre.core.clock import Clock, Deadline, SystemClock
from sre.core.errors import Refused, UsageError
from sre.core.journal import Journal
from sre.core.process import run as run_program
from sre.core.secrets import redactor
from sre.runbook.approval import Policy, check_rehearsal, refuse_early
from sre.runbook.desk import Asker, Desk
from sre.runbook.lint import errors, lint
from sre.runbook.model import Document, Finding, Runbook
from sre.runbook.parse import parse, parse_text
from sre.runbook.plan import Plan
from sre.runbook.runner import Blocks, Runner
from sre.runbook.store import RunFolder, create, open_run
from sre.runbook.talk import Silent, Talk
from sre.runbook.variables import Values, captured_by, leaked, values_for, worth_masking

__all__ = ["Order", "check_before", "new_run", "resumed_run", "sound", "syntax_findings"]

_SYNTAX_SECONDS = 10.0


@dataclass(frozen=True)
class Order:
    """What a run shall be like.

    Attributes:
        passed: environment that the blocks get beside the variables.
        config: the sre.yaml in use, for whoever reads run.json.
    """

    given: Mapping[str, str] = field(default_factory=dict)
    policy: Policy = field(default_factory=Policy)
    fail_back: bool = False
    passed: Mapping[str, str] = field(default_factory=dict)
    config: str = ""


def syntax_findings(document: Document) -> tuple[Finding, ...]:
    """What `bash -n` says about each block that would be executed; nothing is executed."""
    found = []
    for block in (block for section in document.sections for block in section.blocks):
        if block.role == "manual":
            continue
        deadline = Deadline.after(_SYNTAX_SECONDS)
        done = run_program(["bash", "-n", "-s"], deadline, input=block.text)
        if done.returncode != 0:
            said = done.stderr.strip().splitlines()[:1] or ["not valid bash"]
            message = f"bash: {said[0].partition(': ')[2] or said[0]}"
            found.append(Finding(str(document.path), block.line, "error", "syntax", message))
    return tuple(found)


def sound(document: Document) -> Runbook:
    """The runbook, if lint has no errors. Raises UsageError with all of them."""
    wrong = errors((*lint(document), *syntax_findings(document)))
    runbook = document.runbook()
    if wrong or runbook is None:
        raise UsageError("\n".join([*map(str, wrong), "it cannot be followed; mend it first"]))
    return runbook


def check_before(runbook: Runbook, order: Order) -> Values:
    """The values to run with, once everything that can be known beforehand is in order.

    Raises:
        UsageError: a variable is missing or not allowed, a secret cannot be read.
        Refused: not a rehearsal target, or an approval is missing.
    """
    front = runbook.front
    values = values_for(front, order.given, captured_by(runbook), runbook.path.parent)
    if order.policy.rehearsal:
        check_rehearsal(front, values.plain)
    if name := leaked(values):
        raise Refused(f"${name} holds the value of a secret; declare it with secret: true")
    for value in filter(worth_masking, order.passed.values()):
        redactor.add(value)
    return values


def new_run(
    path: Path, order: Order, talk: Talk | None = None, clock: Clock | None = None
) -> Runner:
    """A run that has not begun; its folder is made.

    Raises:
        UsageError: lint has errors, or a variable is missing.
        Refused: not a rehearsal target, or an approval is missing; no folder is made.
        Transient: the disk refuses.
    """
    runbook, clock = sound(parse(path)), clock or SystemClock()
    values = check_before(runbook, order)
    plan = Plan.of(runbook, fail_back=order.fail_back)
    if not plan.blocks:
        raise UsageError(f"{path} has nothing to do there; see sre runbook show {path}")
    refuse_early(plan, values.plain, order.policy, runbook.front)
    folder = create(
        runbook, values.plain[runbook.front.target], dict(order.given), clock,
        rehearsal=order.policy.rehearsal, fail_back=order.fail_back, config=order.config,
    )  # fmt: skip
    return _runner(folder, runbook, values, order, talk, clock)


def resumed_run(
    name: str, order: Order, talk: Talk | None = None, clock: Clock | None = None
) -> Runner:
    """A run that was begun before, with its text and its variables as they were then.

    Raises:
        UsageError: there is no such run, or a secret cannot be read any more.
        IntegrityError: its folder is damaged.
    """
    folder, clock = open_run(name), clock or SystemClock()
    request = folder.request
    text = folder.text.read_text(encoding="utf-8")
    runbook = parse_text(text, Path(request.file)).runbook()
    if runbook is None:
        raise UsageError(f"{folder.text} is no runbook any more; start a new run")
    policy = replace(order.policy, rehearsal=request.rehearsal)  # a rehearsal stays one
    again = Order(request.given, policy, request.fail_back, order.passed, order.config)
    return _runner(folder, runbook, check_before(runbook, again), again, talk, clock)


def _runner(
    folder: RunFolder, runbook: Runbook, values: Values, order: Order, talk: Talk | None,
    clock: Clock,
) -> Runner:  # fmt: skip
    desk = Desk(folder, Journal(folder.path / "journal.jsonl", clock), talk or Silent())
    asker = Asker(desk, order.policy, runbook.front)
    blocks = Blocks(folder.request, runbook, values, order.passed, clock)
    plan = Plan.of(runbook, fail_back=order.fail_back)
    return Runner(desk, asker, blocks, plan, clock)
