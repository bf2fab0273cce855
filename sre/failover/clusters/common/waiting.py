"""How long is waited for a node to become what it was told to be? (effects)

To the deadline, also where it does not answer: it may be starting. But not for one that died, nor
for what it should get from one that died: once a control says twice that no process of its node
runs, waiting is over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from sre.core.clock import Deadline
from sre.core.errors import Transient
from sre.failover.clusters.common.together import Silent
from sre.failover.engine import Ground

__all__ = ["wait_until"]

T = TypeVar("T")
_POLL = 0.005
_FIRST_SECONDS, _AGAIN_SECONDS = 10.0, 4.0
"""Until controls are asked, and asked again: a supervisor that starts what died takes less."""
_ASK_SECONDS = 3.0


def wait_until(
    ground: Ground,
    what: str,
    done: Callable[[], T | None],
    deadline: Deadline,
    on: Sequence[str] = (),
) -> T:
    """Poll until it is so. `on`: nodes that must live for it.

    Raises:
        Transient: not by the deadline; or no process of such a node runs any more.
    """
    last, dead = "", dict[str, int]()
    patience = Deadline.after(_FIRST_SECONDS, ground.clock)
    while True:
        try:
            found = done()
        except Silent as error:
            found, last = None, f" ({error})"
        if found:
            return found
        if deadline.passed():
            raise Transient(f"{what}: not within the time{last}")
        if on and patience.passed():
            for node in on:
                why = _dead(ground, node, deadline.within(_ASK_SECONDS))
                dead[node] = dead.get(node, 0) + 1 if why else 0
                if dead[node] == 2:
                    raise Transient(f"{what}: no process of {node} runs ({why}); start it")
            patience = Deadline.after(_AGAIN_SECONDS, ground.clock)
        ground.clock.sleep(_POLL)


def _dead(ground: Ground, node: str, deadline: Deadline) -> str:
    """What its control says of one that is dead; empty: it lives, or its control cannot tell."""
    placed = ground.node(node)
    life = placed.control.life(placed.service, deadline)
    if life.state != "dead" or placed.control.check(placed.service, deadline):
        return ""
    return life.why or "its control says so"
