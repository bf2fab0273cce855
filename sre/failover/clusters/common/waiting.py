"""How long is waited for a node to become what it was told to be? (effects)

To the deadline, also where it does not answer: it may be starting. But not for one that died: where
it is silent, and its own control says twice that no process of it runs, waiting is over.
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
_SILENT_SECONDS, _AGAIN_SECONDS = 10.0, 4.0
"""Until its control is asked, and until it is asked again: a supervisor that starts what died takes
less."""
_ASK_SECONDS = 3.0


def wait_until(
    ground: Ground, what: str, done: Callable[[], T | None], deadline: Deadline, on: str = ""
) -> T:
    """Poll until it is so. `on`: the node that it is about.

    Raises:
        Transient: not by the deadline; or no process of that node runs any more.
    """
    last, patience, dead = "", None, 0
    while True:
        try:
            found, patience, dead = done(), None, 0
        except Silent as error:
            found, last = None, f" ({error})"
            patience = patience or Deadline.after(_SILENT_SECONDS, ground.clock)
        if found:
            return found
        if deadline.passed():
            raise Transient(f"{what}: not within the time{last}")
        if on and patience is not None and patience.passed():
            why = _dead(ground, on, deadline.within(_ASK_SECONDS))
            dead = dead + 1 if why else 0
            if dead == 2:
                raise Transient(f"{what}: no process of {on} runs ({why}); start it")
            patience = Deadline.after(_AGAIN_SECONDS, ground.clock)
        ground.clock.sleep(_POLL)


def _dead(ground: Ground, node: str, deadline: Deadline) -> str:
    """What its control says of one that is dead; empty: it lives, or its control cannot tell."""
    placed = ground.node(node)
    life = placed.control.life(placed.service, deadline)
    if life.state != "dead" or placed.control.check(placed.service, deadline):
        return ""
    return life.why or "its control says so"
