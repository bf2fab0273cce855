"""Which metrics are there at all: those of core/metrics.py, of /probe, and of each kind?"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from sre.core.metrics import CATALOGUE, MetricInfo
from sre.probes.blackbox.families import OWN
from sre.probes.kinds import KINDS

__all__ = ["all_metrics"]


@lru_cache(maxsize=1)
def all_metrics() -> Mapping[str, MetricInfo]:
    """Every metric by its name; loads every kind, but none of their drivers."""
    found = CATALOGUE | {metric.name: metric for metric in OWN}
    for name in KINDS.names():
        found |= {metric.name: metric for metric in KINDS.load(name).facts.metrics}
    return found
