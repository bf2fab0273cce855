"""Which of the numbers that a probe found are shown, and as which series? (pure)

A name has one type and one help text, those of the first probe that has it; label values are cut;
of two numbers for one series the later one stands; the label `probe` is ours.
"""

from __future__ import annotations

from collections.abc import Iterable

from sre.core.metrics import CATALOGUE
from sre.probes.model import Gauge
from sre.probes.series import ProbeSeries

__all__ = [
    "MAX_LABEL",
    "Labels",
    "families_of",
    "found_of",
    "metric_name",
    "phases_of",
    "plain",
    "taken",
]

MAX_LABEL = 128
"""Characters of a label value."""

Labels = tuple[tuple[str, str], ...]
_CONTROL = {0: "\ufffd", 1: "\ufffd"}


def metric_name(name: str, *, counter: bool) -> str:
    """The name of its series: counters end in `_total`, nothing else does."""
    base = name.removesuffix("_total")
    return f"{base}_total" if counter else base


def taken(name: str) -> bool:
    """Whether it is a metric of our own, which is not for probes to use."""
    return name in CATALOGUE


def plain(labels: Labels) -> Labels:
    """Labels beside `probe`, sorted, as they are shown."""
    cut = {key: text[:MAX_LABEL].translate(_CONTROL) for key, text in labels if key != "probe"}
    return tuple(sorted(cut.items()))


def families_of(found: Iterable[tuple[Gauge, ...]]) -> dict[str, Gauge]:
    """Name -> the first number of that name, which says its type and its help."""
    families: dict[str, Gauge] = {}
    bases: dict[str, bool] = {}
    for gauges in found:
        for gauge in gauges:
            name = metric_name(gauge.name, counter=gauge.counter)
            if name in families or taken(name):
                continue
            if bases.setdefault(name.removesuffix("_total"), gauge.counter) == gauge.counter:
                families[name] = gauge
    return families


def found_of(
    gauges: tuple[Gauge, ...], families: dict[str, Gauge]
) -> dict[tuple[str, Labels], float]:
    """Series -> value, for those whose name is among `families`."""
    return {
        (name, plain(gauge.labels)): gauge.value
        for gauge in gauges
        if (name := metric_name(gauge.name, counter=gauge.counter)) in families
    }


def phases_of(series: ProbeSeries) -> dict[str, float]:
    """Phases of the last run of a single probe; those of a journey are shown by step."""
    reading = series.result.reading if series.result else None
    if reading is None or reading.journey is not None:
        return {}
    return {phase: value for step in reading.steps for phase, value in step.phases.items()}
