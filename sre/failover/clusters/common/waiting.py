"""How long is waited for a node to become what it was told to be? (effects)

To the deadline, also where it does not answer: it may be starting. But not for one that died: once
its own control says for a while that no process of it runs, and nobody started it anew, waiting is
over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sre.core.clock import Deadline
from sre.core.errors import Transient
from sre.failover.clusters.common.together import Silent
from sre.failover.engine import Ground

__all__ = ["wait_until"]

T = TypeVar("T")
_POLL = 0.005
_GONE_SECONDS = 10.0
"""A supervisor that starts what died takes less."""
_ASK_SECONDS = 3.0


def wait_until(
    ground: Ground, what: str, done: Callable[[], T | None], deadline: Deadline, on: str = ""
) -> T:
    """Poll until it is so. `on`: the node that it is about.

    Raises:
        Transient: not by the deadline; or no process of that node runs any more.
    """
    last, patience = "", None
    while True:
        try:
            found, patience = done(), None
        except Silent as error:
            found, last = None, f" ({error})"
            patience = patience or Deadline.after(_GONE_SECONDS, ground.clock)
        if found:
            return found
        if deadline.passed():
            raise Transient(f"{what}: not within the time{last}")
        if on and patience is not None and patience.passed():
            _must_live(ground, what, on, deadline)
            patience = None
        ground.clock.sleep(_POLL)


def _must_live(ground: Ground, what: str, node: str, deadline: Deadline) -> None:
    placed = ground.node(node)
    life = placed.control.life(placed.service, deadline.within(_ASK_SECONDS))
    if life.state == "dead":
        raise Transient(f"{what}: no process of {node} runs ({life.why}); start it")
