"""Which metrics do levels of degradation export?"""

from __future__ import annotations

from sre.core.series.model import MetricInfo

__all__ = ["DEGRADE"]

DEGRADE = (
    MetricInfo(
        "sre_degrade_active", "gauge", "Whether the level is on, wholly or in part.", ("level",)
    ),
    MetricInfo(
        "sre_degrade_since_timestamp_seconds", "gauge", "Since when an active level is on.",
        ("level",),
    ),
)  # fmt: skip
