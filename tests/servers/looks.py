"""How does a test run one probe of a kind once, without a declaration around it?"""

from __future__ import annotations

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from sre.core.clock import Deadline, SystemClock
from sre.journey.guard import Guard
from sre.journey.shop import Shop
from sre.probes.kinds import KINDS
from sre.probes.model import ProbeContext, Reading

__all__ = ["look", "sample", "values"]

LOCAL = ("127.0.0.1:*", "localhost:*")


def look(
    kind: str, /, *, allow: tuple[str, ...] = LOCAL, seconds: float = 10.0, **config: Any
) -> Reading:
    """One run; `host` is 127.0.0.1 unless told, None leaves it out."""
    shop = Shop("test", "http://127.0.0.1:1")
    guard = Guard(allow, shop.base_url)
    context = ProbeContext(Deadline.after(seconds), guard, shop, SystemClock())
    config = {"host": "127.0.0.1", **config}
    if config["host"] is None:
        del config["host"]
    return KINDS.load(kind)(**config).check(context)


def values(reading: Reading, kind: str) -> dict[Any, float]:
    """Its numbers by name without the prefix; those with labels by (name, value of each label)."""
    found: dict[Any, float] = {}
    for gauge in reading.gauges:
        name = gauge.name.removeprefix(f"sre_probe_{kind}_")
        found[(name, *(value for _, value in gauge.labels)) if gauge.labels else name] = gauge.value
    return found


def sample(metrics: str, name: str, **labels: str) -> float | None:
    """The value of one series of a /metrics text; None when it is not there."""
    for family in text_string_to_metric_families(metrics):
        for one in family.samples:
            if one.name == name and one.labels == labels:
                return float(one.value)
    return None
