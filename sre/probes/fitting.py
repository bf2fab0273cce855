"""Which groups of numbers fit, whole, into what one run may export, and how many are left out?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sre.probes.model import Gauge

__all__ = ["SAMPLES", "fitting"]

SAMPLES = 950
"""Samples that a kind with many objects allows itself: below the exporter's limit of one run
(`max_series_per_probe`), so that a cut falls between objects, most important first, and is told."""


def fitting(
    groups: Iterable[Sequence[Gauge]], room: int = SAMPLES
) -> tuple[tuple[Gauge, ...], int]:
    """The first groups that fit into `room` samples, none of them in part; how many are left out.

    The first group that does not fit ends it: what is less important does not overtake.
    """
    kept: list[Gauge] = []
    left_out = 0
    for group in groups:
        if left_out or len(kept) + len(group) > room:
            left_out += 1
        else:
            kept += group
    return tuple(kept), left_out
