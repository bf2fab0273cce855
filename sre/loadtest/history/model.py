"""What does `regression:` of a load test say?

regression: {metric: [checkout.response.p95, checkout.failed], worse_than: 10%, runs: 5}
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Literal

from sre.core.units import Duration, Share
from sre.loadtest.thresholds import OUTCOMES, QUANTILES, Names, Target, Threshold

__all__ = ["Metric", "Regression", "parse_metric"]

_EXAMPLE = "write for example 'checkout.response.p95' or 'checkout.failed'"
_RUNS = (3, 1000)


@dataclass(frozen=True)
class Metric:
    """One number of a run that can be held against other runs.

    Attributes:
        name: of a journey, a step or a group, as in thresholds.
        series: `response` or `service` for a latency, empty for the share of an outcome.
        measure: `p95` and so on, or the outcome.
    """

    text: str
    name: str
    series: Literal["response", "service", ""]
    measure: str

    @property
    def is_latency(self) -> bool:
        """Seconds; otherwise a share of the arrivals."""
        return bool(self.series)

    @property
    def needs(self) -> int:
        """Answers that the metric needs in each run: one above the quantile, and 20 for any."""
        if not self.series:
            return 1
        rest = 1.0 - QUANTILES[self.measure]
        return max(20, round(1.0 / rest)) if rest > 0 else 20

    def resolve(self, names: Names) -> Target:
        """What it names. Raises ValueError when that is unknown, ambiguous or has no such measure.

        A metric is named exactly as in a threshold, so it is looked up as one.
        """
        unit: Literal["seconds", "share"] = "seconds" if self.series else "share"
        as_threshold = Threshold(
            self.text, self.name, self.series, self.measure, op="<", limit=0.0, unit=unit
        )
        try:
            return names.resolve(as_threshold)
        except ValueError as error:
            words = str(error)
            raise ValueError(words.replace("threshold ", "regression metric ", 1)) from error


def parse_metric(text: str) -> Metric:
    """Raises ValueError that says what to write instead."""
    bare = text.strip()
    latency = re.fullmatch(r"(.+)\.(response|service)\.([^.]*)", bare)
    if latency and latency[3] in QUANTILES:
        series: Literal["response", "service"]
        series = "response" if latency[2] == "response" else "service"
        return Metric(bare, latency[1], series, latency[3])
    if latency:
        raise ValueError(
            f"regression metric {text!r}: expected one of {', '.join(QUANTILES)} at its end; "
            f"{_EXAMPLE}"
        )
    name, _, measure = bare.rpartition(".")
    if not name or measure not in OUTCOMES:
        raise ValueError(
            f"regression metric {text!r}: expected NAME.response.p95, NAME.service.p95 or NAME "
            f"with one of .{', .'.join(OUTCOMES)}; {_EXAMPLE}"
        )
    return Metric(bare, name, "", measure)


@dataclass(frozen=True)
class Regression:
    """Compare with the runs before: `{metric: checkout.response.p95, worse_than: 10%, runs: 5}`.

    The run is the unit: thousands of requests of one run are one number each, because what differs
    from run to run (caches, neighbours, the moment) is common to all of them.

    Attributes:
        metric: what is compared, one or a list: a latency as in thresholds
            (`checkout.response.p95`), or the share of an outcome (`checkout.failed`).
        worse_than: the run fails when a metric is worse by more than that, and not by chance. For
            an outcome, a share of its share: 10 % more failures than before.
        runs: accepted runs that a single run is held against, the newest ones; with --against, how
            many pairs are run.
        confidence: how sure it must be that anything is worse at all.
        at_least: a latency that is worse by less is let pass, whatever its share.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    metric: str | tuple[str, ...]
    worse_than: Share
    runs: int = 5
    confidence: Share = Share(0.95)
    at_least: Duration = Duration(0.005)

    def __post_init__(self) -> None:
        if not self.texts:
            raise ValueError(f"metric needs at least one entry; {_EXAMPLE}")
        if len(set(self.texts)) < len(self.texts):
            raise ValueError("metric names the same thing twice; leave one out")
        for text in self.texts:
            parse_metric(text)
        if not 0.0 < self.worse_than <= 10.0:
            raise ValueError("worse_than must be above 0% and at most 1000%")
        if not _RUNS[0] <= self.runs <= _RUNS[1]:
            raise ValueError(
                f"runs must be {_RUNS[0]} to {_RUNS[1]}: fewer say nothing about their own noise"
            )
        if not 0.5 <= self.confidence < 1.0:
            raise ValueError("confidence must be at least 50% and below 100%, such as 95%")

    @property
    def texts(self) -> tuple[str, ...]:
        """The metrics as they were written."""
        return (self.metric,) if isinstance(self.metric, str) else tuple(self.metric)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics, parsed."""
        return tuple(parse_metric(text) for text in self.texts)

    @property
    def alpha(self) -> float:
        """What is left of certainty."""
        return 1.0 - float(self.confidence)
