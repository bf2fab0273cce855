"""What is said of one metric?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["MetricInfo", "MetricType"]

MetricType = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True)
class MetricInfo:
    """One metric as a scraper sees it; counters end in `_total`."""

    name: str
    type: MetricType
    help: str
    labels: tuple[str, ...] = ()
