"""What would a run do? The preconditions are really looked at, the rest is printed. (effects)"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sre.core.clock import Clock, SystemClock
from sre.runbook.execute import do_block
from sre.runbook.model import Block
from sre.runbook.parse import parse
from sre.runbook.plan import Plan
from sre.runbook.render import plan_text
from sre.runbook.shell import environment
from sre.runbook.start import Order, check_before, sound

__all__ = ["DryRun", "dry_run"]


@dataclass(frozen=True)
class DryRun:
    """`preconditions`: key, whether it holds, why not."""

    preconditions: tuple[tuple[str, bool, str], ...]
    plan: str

    @property
    def ok(self) -> bool:
        """Whether a run would get past its preconditions."""
        return all(ok for _key, ok, _why in self.preconditions)

    def data(self) -> list[dict[str, Any]]:
        """For JSON."""
        return [{"block": key, "ok": ok, "why": why} for key, ok, why in self.preconditions]

    def text(self) -> str:
        """For people."""
        lines = [
            f"  {'ok    ' if ok else 'FAILED'} {key}  {why}".rstrip()
            for key, ok, why in self.preconditions
        ]
        return "\n".join(["preconditions:", *lines, "then, each change asked for:", self.plan])


def dry_run(path: Path, order: Order, clock: Clock | None = None) -> DryRun:
    """Check, look at the preconditions, print what would follow. Nothing is written or changed.

    Raises:
        UsageError, Refused: as a real run would, before it begins.
    """
    clock, runbook = clock or SystemClock(), sound(parse(path))
    values = check_before(runbook, order)
    secrets = {name: secret.reveal() for name, secret in values.secrets.items()}
    env = environment(
        "dry-run", {**values.plain, **secrets}, order.passed, rehearsal=order.policy.rehearsal
    )
    plan = Plan.of(runbook, fail_back=order.fail_back)

    def look(block: Block) -> tuple[str, bool, str]:
        name = f"{runbook.id}:{block.id}"
        done = do_block(block, name, env, runbook.front, clock, lambda _pid: None, once=True)
        return block.key, done.ok, done.why

    first = [b for b in plan.blocks if b.section == "Preconditions" and b.role == "check"]
    looked = tuple(look(b) for b in first if b.when is None or b.when.holds(values.plain))
    rest = [block for block in plan.blocks if block.section != "Preconditions"]
    return DryRun(looked, plan_text(rest, values.plain))
