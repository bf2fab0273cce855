"""How is one block done: tried, repeated, judged, and its value captured? (effects)"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from sre.core.clock import Clock, Deadline
from sre.core.secrets import redactor
from sre.core.units import format_duration
from sre.runbook.expect import Verdict
from sre.runbook.model import Block, Front
from sre.runbook.shell import Ended, run_block
from sre.runbook.variables import complaint

__all__ = ["Done", "do_block", "tail_of"]

_EVERY = 1.0
_TAIL = 4096


@dataclass(frozen=True)
class Done:
    """How a block came out. `output` is masked; `reason` is exit, expect, timeout or capture."""

    ok: bool
    seconds: float
    attempts: int
    exit_code: int
    output: str
    reason: str = ""
    why: str = ""
    captured: Mapping[str, str] = field(default_factory=dict)


def do_block(
    block: Block,
    name: str,
    env: Mapping[str, str],
    front: Front,
    clock: Clock,
    begun: Callable[[int], None],
    *,
    once: bool = False,
) -> Done:
    """Do a block, again if it may be repeated, within its timeout.

    Args:
        begun: told the process id of each attempt before its first command runs.
        once: no repetition, whatever the block says.
    """
    start = clock.now()
    deadline = Deadline.after(block.timeout, clock)
    attempts, limit = 0, 1 if once else _limit(block)
    while True:
        attempts += 1
        ended = run_block(block.text, name, env, deadline, begun)
        reason, verdict = _judge(block, ended)
        if verdict.ok or (limit is not None and attempts >= limit) or deadline.passed():
            break
        clock.sleep(min(block.every or _EVERY, deadline.left()))
        if deadline.passed():
            break
    output = "(withheld: secret=yes)" if block.secret else redactor.mask(ended.output)
    done = Done(
        verdict.ok, clock.now() - start, attempts, ended.exit_code, output, reason,
        redactor.mask(verdict.why),
    )  # fmt: skip
    return _captured(block, ended, front, done)


def _limit(block: Block) -> int | None:
    """How often it may be tried; None: until its time is over."""
    if block.retries is not None:
        return block.retries + 1
    return None if block.every is not None and not block.changes else 1


def _judge(block: Block, ended: Ended) -> tuple[str, Verdict]:
    if ended.timed_out:
        after = format_duration(block.timeout)
        return "timeout", Verdict(ok=False, why=f"not done after {after}; it has been ended")
    if ended.truncated and block.expect.kind != "exit":
        return "expect", Verdict(ok=False, why="it says more than 1 MiB, too much to judge")
    verdict = block.expect.judge(ended.exit_code, ended.stdout)
    if block.secret and not verdict.ok:
        verdict = Verdict(ok=False, why=f"not as expected: {block.expect.kind}:…")
    return "" if verdict.ok else "exit" if ended.exit_code else "expect", verdict


def _captured(block: Block, ended: Ended, front: Front, done: Done) -> Done:
    if not block.capture or not done.ok:
        return done
    value = ended.stdout.strip()
    why = complaint(front.vars[block.capture], value) if value else "it said nothing"
    if redactor.mask(value) != value:
        why = "what it says holds a secret"
    if why:
        why = f"${block.capture} cannot be captured: {why}"
        return replace(done, ok=False, reason="capture", why=why)
    return replace(done, captured={block.capture: value})


def tail_of(output: str) -> str:
    """The last 4 KiB, whole lines; `output` is masked already."""
    if len(output) <= _TAIL:
        return output
    return "[…]\n" + output[-_TAIL:].partition("\n")[2]
