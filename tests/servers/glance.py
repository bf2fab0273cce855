"""How does a test run one probe of a kind once, with nothing but the keys that it names?"""

from __future__ import annotations

from typing import Any

from sre.core.clock import Deadline, SystemClock
from sre.core.secrets import Secret
from sre.journey.guard import Guard
from sre.journey.shop import Shop
from sre.probes.kinds import KINDS
from sre.probes.model import ProbeContext, Reading

__all__ = ["glance", "looking"]

LOCAL = ("127.0.0.1:*", "localhost:*")


def looking(seconds: float = 10.0, *, allow: tuple[str, ...] = LOCAL, **dsns: str) -> ProbeContext:
    """What a run may use; `dsns` are those of `databases:`."""
    shop = Shop("test", "http://127.0.0.1:1")
    known = {name: Secret.literal(dsn) for name, dsn in dsns.items()}
    guard = Guard(allow, shop.base_url)
    return ProbeContext(Deadline.after(seconds), guard, shop, SystemClock(), dsns=known)


def glance(kind: str, /, *, seconds: float = 10.0, **config: Any) -> Reading:
    """One run of the kind with these keys."""
    return KINDS.load(kind)(**config).check(looking(seconds))
