"""What does a request of a probe look like: its absolute address, and the header that marks it?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from sre.core.clock import Clock
from sre.core.errors import ConfigError
from sre.journey.build import BadRequest, build
from sre.journey.compile import single_step
from sre.journey.host import origin_of
from sre.journey.model import Journey, Step
from sre.journey.result import Outcome, Reason
from sre.journey.shop import Shop
from sre.journey.state import RunContext, begin
from sre.probes.dial import Trouble

__all__ = ["Marked", "check_url", "marked"]

_ANY_SHOP = Shop("any", "http://localhost")


@dataclass(frozen=True)
class Marked:
    """Where a run goes, and how its requests are marked.

    Attributes:
        url: absolute; templates of the declaration are filled in.
        headers: the synthetic header and our name, as a journey sends them.
        run_id: stands in the synthetic header, unless the shop's declaration says otherwise.
    """

    url: str
    headers: tuple[tuple[str, str], ...]
    run_id: str

    @property
    def place(self) -> tuple[str, int]:
        """Host and port."""
        return origin_of(self.url)[1:]


def check_url(url: str) -> None:
    """Raises ValueError with the cure when it can be no step's address."""
    try:
        _compiled(url, _ANY_SHOP)
    except ConfigError as error:
        words = [str(each).partition("steps[0]")[2].lstrip(".") or str(each)
                 for each in error.problems]  # fmt: skip
        raise ValueError("; ".join(words)) from error


def marked(url: str, shop: Shop, clock: Clock) -> Marked:
    """The request for an address of the declaration, absolute or relative to the shop's.

    Raises:
        Trouble: it can be no address (or one that no allow-list could admit).
        UsageError: an environment variable that it names is not set.
    """
    journey = _compiled(url, shop)
    state = begin(journey, RunContext(shop, clock.now))
    step = journey.blocks[0].parts[0]
    assert isinstance(step, Step)  # noqa: S101  a journey of one step, for the type checker
    try:
        draft = build(step, state.scope, shop.base_url, shop, state.key)
    except BadRequest as error:
        if error.blocked:
            why = f"{error}; nothing was sent"
            raise Trouble(Reason.NONE, why, Outcome.BLOCKED) from error
        raise Trouble(Reason.PROTOCOL, str(error)) from error
    return Marked(draft.url, draft.sent_to(shop), state.context.run_id)


@lru_cache(maxsize=512)
def _compiled(url: str, shop: Shop) -> Journey:
    return single_step("page", {"get": url}, shop=shop)
