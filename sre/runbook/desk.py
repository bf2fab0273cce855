"""How does a run write down and say what happens, and ask the person who is there? (effects)"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sre.core.journal import Journal
from sre.runbook.approval import Approval, Policy, approve
from sre.runbook.model import Block, Front
from sre.runbook.plan import EXIT_CODES, Progress, Result, fold
from sre.runbook.shelltext import fill
from sre.runbook.store import RunFolder
from sre.runbook.talk import Question, Talk

__all__ = ["Asker", "Desk"]


@dataclass
class Desk:
    """The journal, the transcript and the person's screen of one run."""

    folder: RunFolder
    journal: Journal
    talk: Talk

    @property
    def resume_hint(self) -> str:
        """How a person goes on."""
        return f"go on with: sre runbook resume {self.folder.request.run}"

    def progress(self) -> Progress:
        """What the journal says now."""
        return fold(self.journal.read().entries)

    def write(self, event: str, **fields: Any) -> None:
        """One record; durable on return."""
        self.journal.append({"event": event, **fields})

    def tell(self, text: str) -> None:
        """To the screen and the transcript."""
        self.talk.say(text)
        self.folder.write_down(text)

    def decided(self, block: Block | None, choice: str, by: str, why: str = "") -> None:
        """Somebody or something decided about a block, or about the whole run."""
        name = block.key if block else ""
        self.write("decision", block=name, choice=choice, by=by, why=why)
        self.tell(f"  - {name or 'the run'}: {choice} ({by}{': ' if why else ''}{why})")

    def finish(self, result: Result, reason: str, seconds: float) -> None:
        """The run ends."""
        self.write("finish", result=str(result), reason=reason,
                   exit_code=EXIT_CODES[result], seconds=round(seconds, 3))  # fmt: skip


@dataclass
class Asker:
    """Finds out what may be done: from the command line, else from the person at the terminal."""

    desk: Desk
    policy: Policy
    front: Front
    last_output: str = field(default="")

    def may(self, block: Block, values: Mapping[str, str]) -> bool:
        """Whether to do the block now; whatever else was answered has been written down."""
        approval, why = approve(block, values, self.policy, self.front)
        if approval is Approval.REFUSED:
            self.desk.decided(block, "refuse", "nobody to ask", why)
            return False
        if block.role == "manual":
            return self._manual(block, values)
        if approval is Approval.ASK:
            return self._approved(block, values)
        if why:
            self.desk.write("decision", block=block.key, choice="yes", by=why)
        return True

    def _approved(self, block: Block, values: Mapping[str, str]) -> bool:
        name = values.get(block.confirm, "") if block.danger == "destructive" else ""
        answer = self.desk.talk.ask(self._question("approve", block, values, name))
        choice, why = answer.choice, answer.note
        if choice == "yes" and name and why != name:
            choice, why = "abort", f"{why!r} was typed, not {name!r}"
        if choice == "abort":
            why = why or f"aborted at {block.key}"
        self.desk.decided(block, choice, "terminal", why)
        return choice == "yes"

    def _manual(self, block: Block, values: Mapping[str, str]) -> bool:
        choice, by, note = str(self.policy.manual.get(block.id, "")), "--answer", ""
        if not choice:
            answer = self.desk.talk.ask(self._question("manual", block, values))
            by, note = "terminal", answer.note
            if answer.choice not in {"done", "skip", "failed"}:
                self.desk.decided(block, "abort", by, note or f"aborted at {block.key}")
                return False
            choice = answer.choice
        if choice == "failed":
            why = f"a person says so{': ' if note else ''}{note}"
            self.desk.write("end", block=block.key, outcome="failed", why=why, by=by)
        else:
            self.desk.decided(block, choice, by, note)
        return False

    def settle(self, block: Block, values: Mapping[str, str]) -> None:
        """A block may have happened, and nothing tells: done, or again?"""
        if self.policy.interactive:
            answer = self.desk.talk.ask(self._question("settle", block, values))
            why = answer.note or ("aborted" if answer.choice == "abort" else "")
            return self.desk.decided(block, answer.choice, "terminal", why)
        why = f"whether {block.key} happened is not known; look, then --assume done|redo"
        return self.desk.decided(block, "abort", "nobody to ask", why)

    def offer(self, block: Block, values: Mapping[str, str]) -> None:
        """Something failed: roll back, or leave everything as it is?"""
        wish = self.policy.on_failure
        if wish != "ask":
            self.desk.decided(None, wish, f"--on-failure {wish}")
        elif self.policy.interactive:
            choice = self.desk.talk.ask(self._question("failure", block, values)).choice
            self.desk.decided(None, choice, "terminal")
        else:
            self.desk.decided(None, "hold", "nobody to ask")

    def _question(
        self, kind: Any, block: Block, values: Mapping[str, str], confirm: str = ""
    ) -> Question:
        return Question(kind, block, fill(block.text, values.get), confirm, self.last_output)
