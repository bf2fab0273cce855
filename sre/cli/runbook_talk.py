"""How does `sre runbook` ask the person at the terminal?"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from sre.core.secrets import redactor

if TYPE_CHECKING:
    from sre.runbook.talk import Answer, Question

__all__ = ["Terminal", "at_terminal"]

_CHOICES = {
    "approve": ("run this?", {"y": "yes", "skip": "skip", "abort": "abort"}),
    "manual": (
        "did you do this?", {"done": "done", "skip": "skip", "failed": "failed", "abort": "abort"}
    ),
    "settle": ("has this happened?", {"done": "done", "redo": "redo", "abort": "abort"}),
    "failure": ("take all changes back, or leave them?", {"rollback": "rollback", "hold": "hold"}),
}  # fmt: skip


def at_terminal() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin.isatty() and sys.stderr.isatty()


class Terminal:
    """Asks on stderr, reads stdin; shows lines on stdout, or on stderr when that holds JSON."""

    def __init__(self, *, err: bool) -> None:
        self._err = err

    def say(self, text: str) -> None:
        """A line or more, secrets masked."""
        click.echo(redactor.mask(text), err=self._err)

    def ask(self, question: Question) -> Answer:
        """Asks until the answer is one of those there are. Raises KeyboardInterrupt."""
        from sre.runbook.talk import Answer  # noqa: PLC0415  only when it runs

        block = question.block
        lines = "".join(f"\n    {line}" for line in question.text.rstrip("\n").splitlines())
        danger = f" ({block.danger})" if block.danger not in {"", "none"} else ""
        place = f"{block.section}: {block.step}" if block.step else block.section
        click.echo(redactor.mask(f"\n{place}\n  [{block.key}]{danger}{lines}"), err=True)
        try:
            return self._asked(question, Answer)
        except click.Abort:
            raise KeyboardInterrupt from None

    def _asked(self, question: Question, answer: type[Answer]) -> Answer:
        text, choices = _CHOICES[question.kind]
        names = "/".join([*choices, *(["output"] if question.last_output else [])])
        while True:
            word = click.prompt(f"  {text} [{names}]", prompt_suffix=" ", err=True).strip().lower()
            if word == "output" and question.last_output:
                click.echo(redactor.mask(question.last_output), err=True)
                continue
            choice = choices.get("y" if word == "yes" else word)
            if choice is None:
                continue
            if choice == "yes" and question.confirm:
                typed = click.prompt(
                    f"  destructive: type {question.confirm} to go on", prompt_suffix=": ", err=True
                )
                return answer(choice, typed.strip())
            if question.kind == "manual" and choice != "abort":
                note = click.prompt("  a note", default="", show_default=False, err=True)
                return answer(choice, note.strip())
            return answer(choice)
