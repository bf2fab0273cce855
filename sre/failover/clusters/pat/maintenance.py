"""How is Patroni told to keep its hands off, or no longer, and has everybody heard it? (effects)"""

from __future__ import annotations

from collections.abc import Mapping

from sre.core.clock import Deadline
from sre.core.errors import SreError, Transient
from sre.failover.clusters.common.together import together
from sre.failover.clusters.pat.api import refusal
from sre.failover.clusters.pat.hands import Hands

__all__ = ["maintained", "set_maintenance"]


def set_maintenance(hands: Hands, on: bool, deadline: Deadline) -> None:  # noqa: FBT001  a state
    """Written into the dynamic configuration, and said by every member that answers.

    Raises:
        CheckFailed: Patroni refused.
        Transient: not everybody has heard it by the deadline.
    """
    first = next((name for name, said in maintained(hands, deadline).items() if said is not None),
                 next(iter(hands.apis)))  # fmt: skip
    who, answer = hands.post(first, "/config", {"pause": True if on else None},
                             deadline.within(15), "PATCH")  # fmt: skip
    if not answer.ok:
        raise refusal(answer, who)

    def heard() -> bool:
        said = maintained(hands, deadline)
        late = [name for name, each in said.items() if each is not None and each != on]
        if late:
            raise Transient(f"{', '.join(late)} has not heard it yet")
        return any(each is not None for each in said.values())

    hands.until("paused" if on else "no longer paused", heard, deadline)


def maintained(hands: Hands, deadline: Deadline) -> Mapping[str, bool | None]:
    """What each member says; None: it does not answer."""
    found = together(
        {
            name: lambda name=name: bool(hands.looker.state(name, deadline).get("pause"))  # type: ignore[misc]
            for name in hands.apis
        }
    )
    return {name: None if isinstance(each, SreError) else each for name, each in found.items()}
