"""How is a node cut off so that nobody can write there, and how is that known? (effects)"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, Refused, SreError, Transient
from sre.core.process import run
from sre.failover.clusters.common.together import together
from sre.failover.engine import Memory, Placed

__all__ = ["Fence", "cut_off", "seen_dead"]

Note = Mapping[str, Any]


class Fence:
    """A node that must not take writes any more.

    `answers` asks whether something still answers where the node is.
    """

    def __init__(self, node: Placed, answers: Callable[[], bool]) -> None:
        self.node, self._answers = node, answers

    def act(self, _memory: Memory, deadline: Deadline) -> Note:
        """Killed, masked and seen dead; or cut off by the declared program.

        Raises:
            Refused: neither can be done.
        """
        node, service = self.node, self.node.service
        until = deadline.within(10)
        found = together(
            {
                "mask": lambda: node.control.mask(service, until),
                "kill": lambda: node.control.kill(service, until),
            }
        )
        killed = found["kill"]
        if isinstance(killed, SreError):
            return cut_off(node, killed, self._answers, deadline)
        if isinstance(found["mask"], SreError):
            raise found["mask"]
        life = node.control.life(service, deadline.within(5))
        if life.state != "dead":
            raise CheckFailed(f"{node.name} was killed, but is {life.state}: {life.why}")
        seen_dead(node, self._answers)
        return {"by": "control", "why": life.why}

    def undo(self, _memory: Memory, deadline: Deadline) -> None:
        """It may be started again; it is not, for it was down or frozen before."""
        try:
            self.node.control.unmask(self.node.service, deadline)
        except Transient:
            if not self.node.fence:  # by program: nothing was written there
                raise


def seen_dead(node: Placed, answers: Callable[[], bool]) -> None:
    """What its control killed must be what its dsn reaches. Raises CheckFailed."""
    if answers():
        raise CheckFailed(
            f"{node.name} is dead by its control ({node.service.data_dir}), but something "
            "answers at its dsn: one of them is wrong"
        )


def cut_off(node: Placed, error: SreError, answers: Callable[[], bool], deadline: Deadline) -> Note:
    """Cut off by the declared program, because its control ended with `error`.

    Raises:
        Refused: there is none.
        CheckFailed: it failed, or something still answers.
    """
    if not node.fence:
        raise Refused(
            f"{node.name} cannot be fenced: {error}; declare `fence:` for it (power or "
            "network), or make its control reach it"
        )
    done = run(node.fence, deadline)
    if not done.ok:
        why = "it took too long" if done.timed_out else done.stderr.strip()[-300:]
        raise CheckFailed(f"{node.fence[0]} ended with {done.returncode}: {why}")
    if answers():
        raise CheckFailed(f"{node.fence[0]} ended with 0, but {node.name} still answers")
    return {"by": "program", "program": node.fence[0]}
