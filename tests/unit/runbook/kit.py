"""How does a test make a runbook, and follow it with real bash?"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from sre.runbook.approval import Policy
from sre.runbook.start import Order, new_run, resumed_run
from sre.runbook.summary import Summary
from sre.runbook.talk import Answer, Question

FRONT = """\
id: small
title: A small one
severity: ticket
owner: shop
target: NAME
max_age: 30d
rehearsal: {targets: [box]}
"""
YES = Policy(yes=True, confirm=frozenset({"box"}))


def book(
    steps: str,
    *,
    variables: str = "",
    before: str = "Nothing to look at.",
    verify: str = "Look.",
    tail: str = "",
) -> str:
    """The text of a runbook with these steps."""
    parts = [
        f"---\n{FRONT}vars:\n  NAME: {{type: name, default: box}}\n",
        textwrap.indent(textwrap.dedent(variables).strip() + "\n", "  "),
        f"---\n## Meaning\nm\n## Impact\ni\n## Preconditions\n{textwrap.dedent(before)}\n",
        f"## Steps\n{textwrap.dedent(steps)}\n## Verify\n{textwrap.dedent(verify)}\n",
        f"{textwrap.dedent(tail)}\n## Escalate\ne\n",
    ]
    return "".join(parts)


def write(folder: Path, text: str) -> Path:
    path = folder / "small.md"
    path.write_text(text, encoding="utf-8")
    return path


class Scripted:
    """A person whose answers are known beforehand; keeps what was shown."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.shown: list[str] = []
        self.asked: list[Question] = []

    def say(self, text: str) -> None:
        self.shown.append(text)

    def ask(self, question: Question) -> Answer:
        self.asked.append(question)
        choice, _, note = self.answers.pop(0).partition(" ")
        return Answer(choice, note)


def follow(
    folder: Path,
    text: str,
    policy: Policy = YES,
    given: Mapping[str, str] | None = None,
    talk: Any = None,
) -> Summary:
    return new_run(write(folder, text), Order(given or {}, policy), talk).follow()


def resume(run: str, policy: Policy = YES, talk: Any = None) -> Summary:
    return resumed_run(run, Order(policy=policy), talk).follow()


def outcomes(summary: Summary) -> list[tuple[str, str]]:
    return [(row.block, row.outcome) for row in summary.rows]


def journal(folder: Path) -> list[dict[str, Any]]:
    (path,) = folder.glob("state/runs/*/journal.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def alive(pid: int) -> bool:
    """Whether a process still does something; a zombie that nobody collected does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
