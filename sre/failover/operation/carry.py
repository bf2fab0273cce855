"""How are the steps of a decision carried out, taken back, or gone on with? (effects)

Begin on disk, act, end on disk. Before the point of no return a failure takes back what was begun,
in reverse; from there on the only way is forward, and what is left to do is said.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sre.core.clock import Clock, Deadline
from sre.core.errors import SreError, Transient
from sre.failover.engine import Decision, Engine, Reason, Reasons, Step
from sre.failover.operation.outcome import Outcome, Result
from sre.failover.operation.record import Progress, Record

__all__ = ["Say", "carry_out", "passed_no_return"]

Say = Callable[[str], None]
"""Called with each line that people may want to follow."""

_LOOK_SECONDS = 10.0
_SETTLE_SECONDS = 30.0
_SETTLE_EVERY = 0.1
_STEADY_SECONDS = 0.3
_MEND_AFTER = 1.0
_MEND_EVERY = 5.0


class _Failed(Exception):
    """A step did not do what it says."""

    def __init__(self, step: Step, error: SreError) -> None:
        super().__init__(str(error))
        self.step, self.error = step, error


def carry_out(
    engine: Engine,
    record: Record,
    progress: Progress,
    clock: Clock,
    say: Say,
    *,
    back: bool = False,
) -> Result:
    """Do what `progress` says is left of its decision, to an end that is written down.

    `back` takes back what was begun instead; only before the point of no return.

    Raises:
        Transient: the journal cannot be written; the operation stays as it is, unfinished.
    """
    run = _Carrying(engine, record, progress, clock, say)
    began = clock.now()
    outcome, reasons = run.backward("asked for") if back or progress.undoing else run.forward()
    phases = {**run.seconds, "total": progress.seconds.get("total", 0.0) + clock.now() - began}
    record.add("outcome", outcome=outcome, reasons=[_plain(each) for each in reasons],
               phase="total", seconds=clock.now() - began)  # fmt: skip
    return Result(outcome, progress.decision, reasons, phases, record.id, run.memory)


def passed_no_return(steps: Iterable[Step], begun: Sequence[str]) -> bool:
    """Whether the only way is forward."""
    return any(step.no_return and step.id in begun for step in steps)


class _Carrying:
    """One run over the steps of one operation."""

    def __init__(
        self, engine: Engine, record: Record, progress: Progress, clock: Clock, say: Say
    ) -> None:
        self.engine, self.record, self.clock, self.say = engine, record, clock, say
        self.decision: Decision = progress.decision
        self.steps = engine.steps(progress.decision)
        self.memory: dict[str, Mapping[str, Any]] = dict(progress.ended)
        self.begun = list(progress.begun)
        self.undone = set(progress.undone)
        self.seconds = {k: v for k, v in progress.seconds.items() if k != "total"}

    def forward(self) -> tuple[Outcome, Reasons]:
        left: list[Reason] = []
        for step in self.steps:
            if step.id in self.memory:
                continue
            try:
                self._do(step)
            except _Failed as failed:
                if not step.vital:
                    left.append(_reason(failed))
                elif passed_no_return(self.steps, self.begun):
                    return self._stuck(failed, left)
                else:
                    return self.backward(str(failed), _reason(failed))
        left += self._settle()
        return ("incomplete" if left else "ok"), tuple(left)

    def _stuck(self, failed: _Failed, left: list[Reason]) -> tuple[Outcome, Reasons]:
        unknown = failed.step.no_return and isinstance(failed.error, Transient)
        return ("unknown" if unknown else "incomplete"), (_reason(failed), *left)

    def _do(self, step: Step) -> None:
        if step.id not in self.begun:
            self.begun.append(step.id)
        self.record.add("begin", step=step.id, says=step.says)
        self.say(step.says)
        began = self.clock.now()
        try:
            noted = step.act(self.memory, Deadline.after(step.seconds, self.clock))
        except SreError as error:
            spent = self._spent(step, began)
            self.record.add("failed", step=step.id, why=str(error), **spent)
            self.say(f"{step.says}: failed: {error}")
            raise _Failed(step, error) from error
        self.memory[step.id] = noted
        spent = self._spent(step, began)  # the next event makes it durable: one fsync for each step
        self.record.add("end", durable=False, step=step.id, noted=dict(noted), **spent)

    def _spent(self, step: Step, began: float) -> dict[str, Any]:
        phase, seconds = step.phase or step.id, self.clock.now() - began
        self.seconds[phase] = self.seconds.get(phase, 0.0) + seconds
        return {"phase": phase, "seconds": seconds}

    def backward(self, why: str, *reasons: Reason) -> tuple[Outcome, Reasons]:
        """Take back every step that was begun, in reverse; one that fails stops no other."""
        self.record.add("undoing", why=why)
        left = list(reasons)
        known = {step.id: step for step in self.steps}
        whole = True
        for step in (known[id] for id in reversed(self.begun) if id in known):  # noqa: A001
            if step.undo is None or step.id in self.undone:
                continue
            self.say(f"take back: {step.says}")
            began = self.clock.now()
            try:
                step.undo(self.memory, Deadline.after(step.seconds, self.clock))
            except SreError as error:
                whole = False
                left.append(Reason("undo", f"cannot take back {step.says!r}: {error}"))
                self.record.add("undo-failed", step=step.id, why=str(error))
            else:
                spent = self.clock.now() - began
                self.seconds["undo"] = self.seconds.get("undo", 0.0) + spent
                self.record.add("undone", step=step.id, phase="undo", seconds=spent)
        return ("rolled_back" if whole else "incomplete"), tuple(left)

    def _settle(self) -> Reasons:
        """What is still not as it should be, once it had time to become so, and was mended.

        All must be well at two looks: a switch that somebody is just loading anew has read its
        file before we wrote it, and shows so only once its new process is there.
        """
        end = Deadline.after(_SETTLE_SECONDS, self.clock)
        patience, well = Deadline.after(_MEND_AFTER, self.clock), False
        while True:
            seen = self.engine.observe(Deadline.after(_LOOK_SECONDS, self.clock))
            left = self.engine.settled(self.decision, seen)
            if end.passed() or (well and not left):
                return left
            well = not left
            if well:
                self.clock.sleep(_STEADY_SECONDS)
                continue
            if patience.passed():
                self._mend({each.check for each in left})
                patience = Deadline.after(_MEND_EVERY, self.clock)
            self.clock.sleep(_SETTLE_EVERY)

    def _mend(self, checks: set[str]) -> None:
        """Do again what brings these about; when it fails, what is left says so."""
        for step in self.steps:
            if checks.intersection(step.mends):
                with contextlib.suppress(_Failed):
                    self._do(step)


def _reason(failed: _Failed) -> Reason:
    return Reason(failed.step.id, f"{failed.step.says}: {failed.error}")


def _plain(reason: Reason) -> dict[str, Any]:
    return {"check": reason.check, "text": reason.text, "evidence": dict(reason.evidence)}
