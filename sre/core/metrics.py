"""Which metrics does the product export, with which labels, and what do they mean?

Documents, rules and dashboards may name only what stands here; tests hold them, and the
exporters, to it; a kind of probe lists its own numbers beside its code. Labels are bounded: never
a URL, an order number or an error text. The tables stand in series/, one for each wing.
"""

from __future__ import annotations

from collections.abc import Mapping

from sre.core.errors import UsageError
from sre.core.series.backup import BACKUP
from sre.core.series.degrade import DEGRADE
from sre.core.series.failover import FAILOVER
from sre.core.series.loadtest import LOADTEST
from sre.core.series.model import MetricInfo
from sre.core.series.probes import FEEDS, PROBES, PROCESS

__all__ = ["CATALOGUE", "MetricInfo", "describe", "series_of"]

CATALOGUE: dict[str, MetricInfo] = {
    metric.name: metric
    for metric in (*PROBES, *PROCESS, *FEEDS, *BACKUP, *DEGRADE, *LOADTEST, *FAILOVER)
}
"""By name, every metric but those that a kind of probe declares beside its code."""


def describe(name: str, catalogue: Mapping[str, MetricInfo] = CATALOGUE) -> MetricInfo:
    """The metric that a series belongs to (`…_bucket`, `…_sum`, `…_count` to their histogram).

    Raises:
        UsageError: nothing exports such a series.
    """
    if name in catalogue:
        return catalogue[name]
    for suffix in ("_bucket", "_sum", "_count"):
        metric = catalogue.get(name.removesuffix(suffix))
        if name.endswith(suffix) and metric is not None and metric.type == "histogram":
            return metric
    raise UsageError(f"no metric is named {name!r}; docs/metrics.md lists those there are")


def series_of(metric: MetricInfo) -> tuple[str, ...]:
    """The names that a scrape of `metric` shows."""
    if metric.type == "histogram":
        return tuple(f"{metric.name}{suffix}" for suffix in ("_bucket", "_sum", "_count"))
    return (metric.name,)
