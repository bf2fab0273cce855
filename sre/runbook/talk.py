"""How does the runner speak to whoever is there?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from sre.runbook.model import Block

__all__ = ["Answer", "Question", "Silent", "Talk"]


@dataclass(frozen=True)
class Question:
    """What a person has to decide.

    Attributes:
        kind: approve (y, skip, abort), manual (done, skip, failed, abort), settle (done, redo,
            abort), failure (rollback, hold).
        text: what would run, variables filled in, secrets as their names.
        confirm: what must be typed before a destructive block; empty for the others.
        last_output: what the block before said.
    """

    kind: Literal["approve", "manual", "settle", "failure"]
    block: Block
    text: str
    confirm: str = ""
    last_output: str = ""


@dataclass(frozen=True)
class Answer:
    """`choice` is one of those that the question's kind allows."""

    choice: str
    note: str = ""


class Talk(Protocol):
    """The person's side. Only `ask` may wait; KeyboardInterrupt may come out of it."""

    def say(self, text: str) -> None:
        """Show a line or more. Never raises for what it shows."""
        ...

    def ask(self, question: Question) -> Answer:
        """Called only when the policy says that somebody is there."""
        ...


class Silent:
    """Nobody is there."""

    def say(self, text: str) -> None:
        """Goes nowhere."""

    def ask(self, question: Question) -> Answer:
        """The most careful answer."""
        return Answer("hold" if question.kind == "failure" else "abort")
