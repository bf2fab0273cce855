"""How is a runbook followed: observe the journal, decide, act, write down, again? (effects)"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sre.core.clock import Clock
from sre.core.errors import Interrupted, Terminated
from sre.core.facts import Facts
from sre.core.lock import exclusive
from sre.core.secrets import redactor
from sre.core.units import format_duration
from sre.runbook.approval import refuse_early
from sre.runbook.desk import Asker, Desk
from sre.runbook.execute import Done, do_block, tail_of
from sre.runbook.model import Block, Runbook
from sre.runbook.plan import Act, Action, Plan, Progress, Result, State, decide
from sre.runbook.publish import publish
from sre.runbook.shell import end_leftovers, environment
from sre.runbook.store import Request, lock_path
from sre.runbook.summary import Summary, summary_of
from sre.runbook.variables import Values

__all__ = ["Blocks", "Runner"]

_FINAL = {Result.PASSED, Result.ROLLED_BACK}
_WORTH_MASKING = 8


@dataclass(frozen=True)
class Blocks:
    """Does the blocks of one run.

    Attributes:
        values: what the variables stand for; `leaked` has been asked about them.
        passed: further environment, such as what sre.yaml refers to.
    """

    request: Request
    runbook: Runbook
    values: Values
    passed: Mapping[str, str]
    clock: Clock

    def plain(self, progress: Progress) -> Mapping[str, str]:
        """The values that may be shown, captured ones too."""
        return self.values.with_captured(progress.captured).plain

    def do(
        self, block: Block, progress: Progress, begun: Callable[[int], None], *, once: bool = False
    ) -> Done:
        """Do one; `begun` hears the process id of each attempt before its first command runs."""
        values = {**self.plain(progress), **self._secrets()}
        request = self.request
        env = environment(request.run, values, self.passed, rehearsal=request.rehearsal)
        name = f"{self.runbook.id}:{block.id}"
        return do_block(block, name, env, self.runbook.front, self.clock, begun, once=once)

    def _secrets(self) -> dict[str, str]:
        found = {name: secret.reveal() for name, secret in self.values.secrets.items()}
        for line in (line for value in found.values() for line in value.splitlines()):
            if len(line) >= _WORTH_MASKING:  # an output may show a key line by line
                redactor.add(line)
        return found


@dataclass
class Runner:
    """Follows one run to its end, or to where it stops; a later Runner goes on from there."""

    desk: Desk
    asker: Asker
    blocks: Blocks
    plan: Plan
    clock: Clock
    _current: str = field(init=False, default="")

    def follow(self) -> Summary:
        """Go on until the run ends.

        Raises:
            Locked: another run works on the same target.
            Refused: something would be refused halfway; nothing was done.
            Interrupted, Terminated: the journal is whole; resume goes on.
        """
        request = self.blocks.request
        with exclusive(lock_path(request.target), f"runbook {request.runbook}", self.clock):
            try:
                if self._opens():
                    self._loop()
            except KeyboardInterrupt:
                raise Interrupted(self._stopped("interrupted")) from None
            except Terminated:
                raise Terminated(self._stopped("terminated")) from None
        return summary_of(request, self.desk.journal.read().entries)

    def _opens(self) -> bool:
        """Write down that we are at it; False when nothing is left to do."""
        request, progress = self.blocks.request, self.desk.progress()
        result = progress.finished and Result(str(progress.finished["result"]))
        if result in _FINAL:
            self._publish(str(result), None)
            return False
        left = () if progress.rolling else self.plan.blocks
        todo = tuple(b for b in left if progress.of(b) in {State.PENDING, State.FAILED})
        values = self.blocks.plain(progress)
        refuse_early(Plan(todo), values, self.asker.policy, self.asker.front)
        if progress.started_at is None:
            self.desk.write("start", run=request.run, runbook=request.runbook,
                            digest=request.digest, rehearsal=request.rehearsal,
                            target=request.target)  # fmt: skip
        else:
            left_over = sum(end_leftovers(pid, request.run) for pid in progress.pids.values())
            self.desk.write("resume", leftovers=left_over)
        return True

    def _loop(self) -> None:
        while (progress := self.desk.progress()).finished is None:
            action = decide(self.plan, progress)
            self._current = action.block.key if action.block else ""
            if action.act is Act.END or action.block is None:
                self._finish(action, progress)
            else:
                self._act(action.act, action.block, action.reason, progress)

    def _act(self, act: Act, block: Block, reason: str, progress: Progress) -> None:
        values = self.blocks.plain(progress)
        if act is Act.OFFER:
            self.desk.tell(f"  ! {reason}")
            self.asker.offer(block, values)
        elif act is Act.SETTLE:
            self._settle(block, progress)
        elif block.when is not None and not block.when.holds(values):
            self.desk.decided(block, "skip", f"when={block.when}")
        elif self.asker.may(block, values):
            self._do(block, progress)

    def _do(self, block: Block, progress: Progress) -> None:
        self.desk.tell(f"  … {block.key} (at most {format_duration(block.timeout)})")
        begun: list[int] = []

        def begin(pid: int) -> None:
            if block.changes or not begun:  # each try of a change; a check that waits but once
                self.desk.write("begin", block=block.key, pid=pid)
            begun.append(pid)

        done = self.blocks.do(block, progress, begin)
        self.desk.write(
            "end", block=block.key, outcome="ok" if done.ok else "failed", why=done.why,
            reason=done.reason, exit_code=done.exit_code, seconds=round(done.seconds, 3),
            attempts=done.attempts, tail=tail_of(done.output), captured=dict(done.captured),
        )  # fmt: skip
        self._show(block, done)

    def _show(self, block: Block, done: Done) -> None:
        mark = "ok    " if done.ok else "info  " if block.role == "info" else "FAILED"
        self.asker.last_output = done.output
        line = f"  {mark} {block.key}  {format_duration(done.seconds)}  {done.why}"
        self.desk.tell(line.rstrip())
        if done.output and (block.role == "info" or not done.ok):
            lines = tail_of(done.output).splitlines()
            self.desk.tell("\n".join(f"         {line}" for line in lines))

    def _settle(self, block: Block, progress: Progress) -> None:
        """A block was begun and nobody wrote down its end: done, or to be done again?"""
        self.desk.tell(f"  ? {block.key} was begun and its end is not known")
        if assumed := self.asker.policy.assume:
            return self.desk.decided(block, assumed, f"--assume {assumed}")
        checks = self.plan.checks_of(block) if block.role == "run" else ()
        if checks and all(self._holds(check, progress, block) for check in checks):
            return self.desk.decided(block, "done", "its checks hold")
        if block.idempotent:
            return self.desk.decided(block, "redo", "idempotent=yes")
        return self.asker.settle(block, self.blocks.plain(progress))

    def _holds(self, check: Block, progress: Progress, run: Block) -> bool:
        done = self.blocks.do(check, progress, lambda _pid: None, once=run.idempotent)
        self.desk.write("recheck", block=check.key, of=run.key, ok=done.ok, why=done.why)
        return done.ok

    def _finish(self, action: Action, progress: Progress) -> None:
        result = action.result or Result.INCOMPLETE
        seconds = self._seconds(progress)
        self._publish(str(result), seconds)
        self.desk.finish(result, action.reason, seconds)

    def _seconds(self, progress: Progress) -> float:
        started = progress.started_at
        return max(0.0, self.clock.wall() - started) if started is not None else 0.0

    def _publish(self, result: str, seconds: float | None) -> None:
        facts = Facts(clock=self.clock)
        publish(facts, self.blocks.request, result, seconds, self.clock.wall())

    def _stopped(self, what: str) -> str:
        self.desk.write("interrupted", block=self._current, why=what)
        at = f" in {self._current}" if self._current else ""
        return f"{what}{at}; cleaned up; {self.desk.resume_hint}"
