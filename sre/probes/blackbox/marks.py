"""Which header says to the shop that a request of /probe is nobody's visit?"""

from __future__ import annotations

from collections.abc import Callable

from sre.core.clock import Clock
from sre.journey.shop import Shop, origin_of
from sre.probes.marked import marked

__all__ = ["marks_of"]


def marks_of(shop: Shop | None, clock: Clock) -> Callable[[str], tuple[tuple[str, str], ...]]:
    """Asked with an address: the shop's synthetic header for its own origins, nothing elsewhere."""

    def marks(url: str) -> tuple[tuple[str, str], ...]:
        if shop is None or origin_of(url) not in shop.trusted_origins:
            return ()
        name = shop.synthetic.header.lower()
        sent = marked(shop.base_url, shop, clock).headers
        return tuple(pair for pair in sent if pair[0].lower() == name)

    return marks
