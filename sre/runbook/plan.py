"""What is to be done next, given what the journal says has been done? (pure)

Observe (`fold` the journal), decide (`decide`), act (the runner). The journal is the only memory:
a runner that was killed after any record decides the same as one that was not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sre.runbook.model import Block, Runbook

__all__ = ["EXIT_CODES", "Act", "Action", "Plan", "Progress", "Result", "State", "decide", "fold"]


class State(StrEnum):
    """How far a block is. `doubt`: it was begun, and nobody wrote down how it ended."""

    PENDING = "pending"
    DOUBT = "doubt"
    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"
    ROLLED_BACK = "rolled_back"


class Result(StrEnum):
    """How a run ended."""

    PASSED = "passed"
    FAILED = "failed"
    REFUSED = "refused"
    INCOMPLETE = "incomplete"
    ABORTED = "aborted"
    ROLLED_BACK = "rolled_back"


EXIT_CODES = {
    Result.PASSED: 0, Result.FAILED: 1, Result.ROLLED_BACK: 1, Result.REFUSED: 5,
    Result.INCOMPLETE: 8, Result.ABORTED: 8,
}  # fmt: skip


class Act(StrEnum):
    """What the runner is told to do."""

    DO = "do"
    SETTLE = "settle"  # find out, or ask, whether a block in doubt has happened
    OFFER = "offer"  # something failed: roll back, or leave it as it is?
    END = "end"


@dataclass(frozen=True)
class Action:
    """One decision with its reason."""

    act: Act
    block: Block | None = None
    result: Result | None = None
    reason: str = ""


@dataclass(frozen=True)
class Plan:
    """The blocks of one run, in order, and what takes each `run` block back."""

    blocks: tuple[Block, ...]
    rollbacks: Mapping[str, Block] = field(default_factory=dict)

    @classmethod
    def of(cls, runbook: Runbook, *, fail_back: bool = False) -> Plan:
        """Preconditions, Steps, Verify; or, to fail back, that section and Verify."""
        names = ("Fail back", "Verify") if fail_back else ("Preconditions", "Steps", "Verify")
        blocks = [block for name in names for block in runbook.section(name).blocks]
        every = tuple(runbook.blocks())
        return cls(
            tuple(block for block in blocks if block.role != "rollback"),
            {block.id: block for block in every if block.role == "rollback"},
        )

    def checks_of(self, run: Block) -> tuple[Block, ...]:
        """The checks that tell whether `run` has happened: those between it and the next run."""
        place = self.blocks.index(run)
        found: list[Block] = []
        for block in self.blocks[place + 1 :]:
            if block.role == "run" and found:
                break
            if block.step != run.step or block.section != run.section:
                break
            if block.role == "check" and (block.when is None or block.when == run.when):
                found.append(block)
        return tuple(found)


@dataclass
class Progress:
    """What the journal says."""

    states: dict[str, State] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)
    pids: dict[str, int] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)
    captured: dict[str, str] = field(default_factory=dict)
    rolling: bool = False
    held: bool = False
    aborted: str = ""
    refused: str = ""
    finished: Mapping[str, Any] | None = None
    started_at: float | None = None

    def of(self, block: Block) -> State:
        """How far a block is."""
        return self.states.get(block.key, State.PENDING)


def fold(entries: Iterable[Mapping[str, Any]]) -> Progress:
    """The journal's entries as one picture."""
    progress = Progress()
    for entry in entries:
        _FOLDS.get(str(entry.get("event")), _nothing)(progress, entry)
    return progress


def _nothing(_progress: Progress, _entry: Mapping[str, Any]) -> None:
    """Records for people."""


def _start(progress: Progress, entry: Mapping[str, Any]) -> None:
    progress.started_at = float(entry["at"])


def _resume(progress: Progress, _entry: Mapping[str, Any]) -> None:
    """What failed is looked at again; what changed something and failed is in doubt."""
    progress.finished, progress.held, progress.aborted, progress.refused = None, False, "", ""
    progress.tries.clear()
    for key, state in progress.states.items():
        if state is State.FAILED:
            changes = key.startswith(("run:", "rollback:"))
            progress.states[key] = State.DOUBT if changes else State.PENDING


def _begin(progress: Progress, entry: Mapping[str, Any]) -> None:
    key = str(entry["block"])
    progress.states[key] = State.DOUBT
    progress.pids[key] = int(entry.get("pid") or 0)
    progress.tries[key] = progress.tries.get(key, 0) + 1


def _end(progress: Progress, entry: Mapping[str, Any]) -> None:
    key = str(entry["block"])
    progress.states[key] = State(str(entry["outcome"]))
    progress.why[key] = str(entry.get("why", ""))
    progress.pids.pop(key, None)
    progress.captured.update(entry.get("captured") or {})
    if key.startswith("rollback:") and progress.states[key] is State.OK:
        progress.states[f"run:{key.partition(':')[2]}"] = State.ROLLED_BACK


def _decision(progress: Progress, entry: Mapping[str, Any]) -> None:
    choice, key = str(entry["choice"]), str(entry.get("block", ""))
    progress.rolling = progress.rolling or choice == "rollback"
    progress.held = progress.held or choice == "hold"
    if choice == "refuse":
        progress.refused = str(entry["why"])
    if choice == "abort":
        progress.aborted = str(entry.get("why") or "aborted")
    if choice in {"done", "skip"}:
        _end(progress, {"block": key, "outcome": "ok" if choice == "done" else "skipped"})
    if choice == "redo":
        progress.states[key] = State.PENDING


def _finish(progress: Progress, entry: Mapping[str, Any]) -> None:
    progress.finished = entry


_FOLDS = {
    "start": _start, "resume": _resume, "begin": _begin, "end": _end, "decision": _decision,
    "finish": _finish,
}  # fmt: skip


def decide(plan: Plan, progress: Progress) -> Action:
    """The next thing to do."""
    if progress.aborted:
        return Action(Act.END, result=Result.ABORTED, reason=progress.aborted)
    if progress.refused:
        result = Result.INCOMPLETE if _happened(plan, progress) else Result.REFUSED
        return Action(Act.END, result=result, reason=progress.refused)
    if progress.rolling:
        return _roll_back(plan, progress)
    for block in plan.blocks:
        state = progress.of(block)
        if state is State.FAILED and _stops(block):
            return _failed(plan, progress, block)
        if state is State.DOUBT and block.role == "run":
            return Action(Act.SETTLE, block, reason="begun, and its end is not known")
        if state in {State.DOUBT, State.PENDING}:
            return Action(Act.DO, block)
    return Action(Act.END, result=Result.PASSED, reason="every check of Verify holds")


def _stops(block: Block) -> bool:
    return block.role != "info" or bool(block.capture)


def _failed(plan: Plan, progress: Progress, block: Block) -> Action:
    why = f"{block.section}: {block.key} failed: {progress.why.get(block.key, '')}".rstrip(": ")
    if block.section == "Preconditions":
        return Action(Act.END, block, Result.REFUSED, f"{why}; nothing has been changed")
    if not progress.held and any(_undoable(plan, progress)):
        return Action(Act.OFFER, block, reason=why)
    result = Result.INCOMPLETE if block.role == "run" else Result.FAILED
    return Action(Act.END, block, result, why)


def _happened(plan: Plan, progress: Progress) -> list[Block]:
    """The runs that changed, or may have changed, something; the last one first."""
    done = {State.OK, State.FAILED, State.DOUBT}
    return [b for b in reversed(plan.blocks) if b.role == "run" and progress.of(b) in done]


def _undoable(plan: Plan, progress: Progress) -> Iterable[Block]:
    for run in _happened(plan, progress):
        if run.pnr:
            return
        if run.id in plan.rollbacks:
            yield run


def _roll_back(plan: Plan, progress: Progress) -> Action:
    for run in _happened(plan, progress):
        undo = plan.rollbacks.get(run.id)
        if run.pnr or (undo is None and run.danger == "destructive"):
            why = "is a point of no return" if run.pnr else "cannot be taken back"
            reason = f"rolled back as far as {run.key}, which {why}; see Fail back"
            return Action(Act.END, run, Result.INCOMPLETE, reason)
        if undo is None or progress.of(undo) is State.SKIPPED:
            continue
        if progress.of(undo) is State.FAILED:
            reason = f"the rollback of {run.id} failed: {progress.why.get(undo.key, '')}"
            return Action(Act.END, undo, Result.INCOMPLETE, reason)
        if progress.of(undo) is State.DOUBT:
            return Action(Act.SETTLE, undo, reason="begun, and its end is not known")
        return Action(Act.DO, undo)
    return Action(Act.END, result=Result.ROLLED_BACK, reason="every change has been taken back")
