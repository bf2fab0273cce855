"""Is the primary gone, surely enough that somebody should be asked? (effects)

The attended mode: look all the time over connections that are open already, and when a failover
would be allowed several times in a row, ask, and do it at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sre.core.errors import Locked, Refused
from sre.failover.engine import Decision, Wish
from sre.failover.job import Agree, Job, Planned
from sre.failover.operation.carry import Say
from sre.failover.operation.outcome import Result

__all__ = ["Patience", "auto", "watch"]

See = Callable[[Planned], None]


@dataclass(frozen=True)
class Patience:
    """How long to look before asking.

    Attributes:
        times: so often in a row a failover must be allowed.
        suspicious: seconds between looks once it was allowed, or the primary did not answer.
        calm: seconds between looks while all is well.
    """

    times: int = 3
    suspicious: float = 0.1
    calm: float = 0.25


def watch(
    job: Job, wish: Wish, patience: Patience, agree: Agree, say: Say, see: See
) -> Result | None:
    """Look until the primary is gone, ask, and fail over; the result, None when it was not done.

    `see` is shown every look; `agree` is asked once it is time, and refuses by Refused.
    """
    in_a_row, told = 0, ""
    while True:
        planned = job.plan(wish)
        see(planned)
        decision = planned.decision
        in_a_row = in_a_row + 1 if decision.allowed else 0
        well = any(each.writable for each in planned.seen.primaries())
        if in_a_row >= patience.times:
            break
        if not well and not decision.allowed:
            told = _tell(decision, told, say)
        elif well:
            told = ""
        job.clock.sleep(patience.calm if well else patience.suspicious)
    try:
        return job.carry_out(wish, say, agree)
    except Refused as error:
        say(f"not failed over: {error}")
    except Locked as error:
        say(f"somebody else is at it: {error}")
    return None


def _tell(decision: Decision, told: str, say: Say) -> str:
    """Say once why nothing can be done."""
    why = "; ".join(each.text for each in decision.blockers)
    if why != told:
        say(f"no failover: {why}")
    return why


def auto(planned: Planned) -> None:
    """Agree without asking, where the old primary can be cut off for certain. Raises Refused."""
    if not any(each.check == "fence" for each in planned.decision.passed):
        raise Refused(
            "nobody was asked, and nothing proves that the old primary can be fenced; declare "
            "`fence:` for it, or let somebody confirm"
        )
