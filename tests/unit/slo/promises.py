"""Which promises do the tests of this folder try?"""

from __future__ import annotations

from sre.core.units import Duration, Share
from sre.slo.model import Objective
from sre.slo.promise import Promise, Watch

__all__ = ["promise"]


def promise(
    target: str = "99%",
    every: float = 30,
    *,
    watches: tuple[str, ...] = ("checkout",),
    links: bool = True,
    window: str = "30d",
    **fields: object,
) -> Promise:
    """A promise about the journey checkout, unless `fields` of the Objective say otherwise."""
    about = {"name": "checkout-available", "owner": "shop", "runbook": "checkout-failing", **fields}
    if not {"journey", "step", "probe"} & about.keys():
        about["journey"] = "checkout"
    made = Objective(target=Share.parse(target), window=Duration.parse(window), **about)  # type: ignore[arg-type]
    return Promise(
        made,
        "demo",
        tuple(Watch(name, every) for name in watches),
        "https://git.example.com/runbooks/" if links else None,
        "https://grafana.example.com/d" if links else None,
    )
