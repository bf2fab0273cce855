"""Which metrics are there at all: of core/metrics.py, of /probe, of each kind, of a declaration?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from sre.core.metrics import CATALOGUE, MetricInfo
from sre.probes.blackbox.families import OWN
from sre.probes.facts import own_metrics
from sre.probes.kinds import KINDS
from sre.probes.model import Check

__all__ = ["all_metrics", "metrics_of"]


@lru_cache(maxsize=1)
def all_metrics() -> Mapping[str, MetricInfo]:
    """Every metric by its name; loads every kind, but none of their drivers."""
    found = CATALOGUE | {metric.name: metric for metric in OWN}
    for name in KINDS.names():
        found |= {metric.name: metric for metric in KINDS.load(name).facts.metrics}
    return found


def metrics_of(checks: Iterable[Check]) -> Mapping[str, MetricInfo]:
    """Every metric, and those that these checks name themselves."""
    own = {metric.name: metric for check in checks for metric in own_metrics(check.probe)}
    return {**all_metrics(), **own}
