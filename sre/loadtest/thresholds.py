"""What does `checkout.response.p95 < 800ms` mean, and which part of the test does it name?

    threshold = NAME '.' MEASURE OP LIMIT
    NAME      = a journey, else JOURNEY/NAME, else a step or group that is unique in the mix
    MEASURE   = ('response' | 'service') '.' ('p50' | 'p90' | 'p95' | 'p99' | 'max')
              | 'ok' | 'failed' | 'refused' | 'throttled' | 'dropped'
    OP        = '<' | '<=' | '>' | '>='
    LIMIT     = a duration (latencies), a percentage or a plain count (the others)

A percentage is of the journey's arrivals, for its steps and groups too: of 100 customers who came,
how many failed here? `ok` counts degraded as well.

A mapping says more: `{that: "checkout.response.p95 < 800ms", in: spike, min_samples: 200}`.
"""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from sre.core.units import Duration, Share

__all__ = [
    "OUTCOMES",
    "QUANTILES",
    "Abort",
    "Names",
    "Target",
    "Threshold",
    "ThresholdSpec",
    "parse_threshold",
]

QUANTILES: dict[str, float] = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "max": 1.0}
OUTCOMES = ("ok", "failed", "refused", "throttled", "dropped")
_OPERATORS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_OVER = 30.0
_EXAMPLE = "write for example 'checkout.response.p95 < 800ms' or 'checkout.failed < 0.5%'"


@dataclass(frozen=True)
class ThresholdSpec:
    """A threshold that says more than the expression alone.

    Attributes:
        that: the threshold, as it would stand alone: `checkout.response.p95 < 800ms`.
        in_: the `name` of a stage, or of several: customers who were due then count, no others.
        min_samples: how many samples it needs, instead of the `min_samples` of the test.
        abort: stop the run as soon as it is broken over the last seconds, on enough samples.
        after: with `abort`: what ended before is not looked at; by default the warm-up.
        over: with `abort`: how far back it looks, 5s to 10m; a count looks back to the start.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    that: str
    in_: str | None = None
    min_samples: int | None = None
    abort: bool = False
    after: Duration | None = None
    over: Duration | None = None

    def __post_init__(self) -> None:
        if self.min_samples is not None and self.min_samples < 1:
            raise ValueError("min_samples must be at least 1")
        if not self.abort and (self.after is not None or self.over is not None):
            raise ValueError("`after` and `over` belong to an abort; add abort: true")
        if self.over is not None and not 5 <= self.over <= 600:
            raise ValueError("over must be 5s to 10m; try '30s'")
        threshold = parse_threshold(self.that)
        if self.abort and threshold.unit == "count" and threshold.op in (">", ">="):
            raise ValueError(
                f"{self.that!r} is known at the end alone, so it cannot abort a run; write a "
                "percentage, or take abort out"
            )


@dataclass(frozen=True)
class Abort:
    """When a threshold may stop a run: on what ended after `after` (None: the warm-up), in the
    last `over` seconds."""

    after: float | None
    over: float


@dataclass(frozen=True)
class Threshold:
    """One parsed threshold.

    Attributes:
        expression: as declared, with ` in STAGE` where it is about one; unique in reports.
        stage: the stage that it is about; None for the whole run.
        min_samples: its own; None for that of the test.
        series: `response` or `service` for a latency, empty for a count of outcomes.
        measure: `p95` and so on, or the outcome.
        limit: seconds, a fraction of 1, or a count, as `unit` says.
    """

    expression: str
    name: str
    series: Literal["response", "service", ""]
    measure: str
    op: str
    limit: float
    unit: Literal["seconds", "share", "count"]
    stage: str | None = None
    min_samples: int | None = None
    abort: Abort | None = None

    @property
    def is_latency(self) -> bool:
        """Latencies need samples and a punctual generator; outcomes do not."""
        return bool(self.series)

    def holds(self, value: float) -> bool:
        """Whether `value`, in `unit`, keeps the limit."""
        return bool(_OPERATORS[self.op](value, self.limit))


@dataclass(frozen=True)
class Target:
    """What a threshold's name stands for: a journey, or one or more of its steps.

    Attributes:
        kind: where it stands in the summary.
        steps: empty for a journey.
    """

    kind: Literal["journey", "step", "group"]
    journey: str
    name: str
    steps: tuple[str, ...] = ()


def parse_threshold(declared: str | ThresholdSpec) -> Threshold:
    """Raises ValueError that says where the expression goes wrong and what to write instead."""
    if isinstance(declared, str):
        return _parsed(declared)
    plain = _parsed(declared.that)
    abort = Abort(declared.after, declared.over or _OVER) if declared.abort else None
    stage = declared.in_
    return replace(
        plain,
        expression=plain.expression if stage is None else f"{plain.expression} in {stage}",
        stage=stage,
        min_samples=declared.min_samples,
        abort=abort,
    )


def _parsed(expression: str) -> Threshold:
    match = re.search(r"<=|>=|<|>", expression)
    if match is None:
        raise _wrong(expression, len(expression), "expected <, <=, > or >= and a limit")
    name, series, measure = _parse_measure(expression, expression[: match.start()].rstrip())
    limit, unit = _parse_limit(expression, match.end(), latency=bool(series))
    return Threshold(expression.strip(), name, series, measure, match[0], limit, unit)


def _parse_measure(
    expression: str, left: str
) -> tuple[str, Literal["response", "service", ""], str]:
    latency = re.fullmatch(r"\s*(.+)\.(response|service)\.([^.]*)", left)
    if latency:
        if latency[3] not in QUANTILES:
            raise _wrong(expression, latency.start(3), f"expected one of {', '.join(QUANTILES)}")
        return latency[1], "response" if latency[2] == "response" else "service", latency[3]
    name, dot, measure = left.strip().rpartition(".")
    at = len(left) - len(measure)
    if not dot or not name:
        raise _wrong(expression, at, "expected NAME.response.p95 or NAME.failed")
    if measure in ("response", "service"):
        raise _wrong(expression, len(left), f"expected a percentile: {name}.{measure}.p95")
    if measure in QUANTILES:
        name = re.sub(r"\.(latency|duration|time|response_time|http_req_duration)$", "", name)
        raise _wrong(expression, at, f"expected {name}.response.{measure}")
    if measure not in OUTCOMES:
        known = ", ".join(OUTCOMES)
        raise _wrong(expression, at, f"expected response.p95, service.p95 or one of {known}")
    return name, "", measure


def _parse_limit(
    expression: str, start: int, *, latency: bool
) -> tuple[float, Literal["seconds", "share", "count"]]:
    text = expression[start:].strip()
    at = start + len(expression[start:]) - len(expression[start:].lstrip())
    if latency:
        if not re.search(r"[a-z]$", text):
            raise _wrong(expression, at, "a latency needs a duration with its unit, such as 800ms")
        try:
            return float(Duration.parse(text)), "seconds"
        except ValueError as error:
            raise _wrong(expression, at, str(error)) from error
    if text.endswith("%"):
        try:
            share = float(Share.parse(text))
        except ValueError as error:
            raise _wrong(expression, at, str(error)) from error
        if share > 1:  # such a limit would judge nothing
            raise _wrong(expression, at, "a share of the arrivals is at most 100%")
        return share, "share"
    if not re.fullmatch(r"\d+(\.\d+)?", text):
        raise _wrong(expression, at, "expected a percentage of arrivals (0.5%) or a count (0)")
    return float(text), "count"


def _wrong(expression: str, at: int, what: str) -> ValueError:
    return ValueError(f"threshold {expression!r}, character {at + 1}: {what}; {_EXAMPLE}")


class Names:
    """What may be named in the thresholds of one test.

    Args:
        journeys: journey -> its steps as (name, group), in order; those of the test alone.
        stages: the names of its stages, where they have one.
    """

    def __init__(
        self,
        journeys: Mapping[str, Iterable[tuple[str, str | None]]],
        stages: Iterable[str | None] = (),
    ) -> None:
        self._stages = tuple(dict.fromkeys(name for name in stages if name))
        self._journeys = {name: tuple(steps) for name, steps in journeys.items()}

    def resolve(self, threshold: Threshold) -> Target:
        """Raises ValueError when the name is unknown or ambiguous, or cannot have the measure."""
        if threshold.stage is not None and threshold.stage not in self._stages:
            raise ValueError(self._unknown_stage(threshold))
        target = self._find(threshold)
        if threshold.measure == "dropped" and target.kind != "journey":
            raise ValueError(
                f"threshold {threshold.expression!r}: only whole journeys are dropped; "
                f"write {target.journey}.dropped"
            )
        return target

    def parts(self) -> list[Target]:
        """All steps and groups of the test, in order of appearance, each once."""
        found: dict[tuple[str, str, str], Target] = {}
        for journey, steps in self._journeys.items():
            for name, _ in steps:
                found.setdefault(("step", journey, name), Target("step", journey, name, (name,)))
            for group in dict.fromkeys(group for _, group in steps if group):
                inside = tuple(dict.fromkeys(name for name, of in steps if of == group))
                found["group", journey, group] = Target("group", journey, group, inside)
        return list(found.values())

    def label(self, target: Target) -> str:
        """NAME, or JOURNEY/NAME where another journey has the same kind of part by that name."""
        same = [
            part for part in self.parts() if (part.kind, part.name) == (target.kind, target.name)
        ]
        return target.name if len(same) == 1 else f"{target.journey}/{target.name}"

    def _find(self, threshold: Threshold) -> Target:
        name = threshold.name
        if name in self._journeys:
            return Target("journey", name, name)
        found = [
            part for part in self.parts() if name in (part.name, f"{part.journey}/{part.name}")
        ]
        if len(found) == 1:
            return found[0]
        if found:
            raise ValueError(self._ambiguous(threshold, found))
        raise ValueError(self._unknown(threshold))

    def _ambiguous(self, threshold: Threshold, found: list[Target]) -> str:
        owners = list(dict.fromkeys(part.journey for part in found))
        if len(owners) > 1:
            cure = "write " + " or ".join(f"{owner}/{threshold.name}" for owner in owners)
        else:
            cure = f"a step and a group of {owners[0]} share the name; rename one"
        return f"threshold {threshold.expression!r}: {threshold.name!r} is ambiguous; {cure}"

    def _unknown(self, threshold: Threshold) -> str:
        known = [*self._journeys]
        for part in self.parts():
            known += [part.name, f"{part.journey}/{part.name}"]
        close = difflib.get_close_matches(threshold.name, known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        return (
            f"threshold {threshold.expression!r}: no journey, step or group of this test is named "
            f"{threshold.name!r}{hint} (journeys: {', '.join(self._journeys) or 'none'})"
        )

    def _unknown_stage(self, threshold: Threshold) -> str:
        cure = (
            f"stages with a name: {', '.join(self._stages)}"
            if self._stages
            else f"no stage has one; write for example {{hold: 5m, name: {threshold.stage}}}"
        )
        return f"threshold {threshold.expression!r}: no stage is named {threshold.stage!r}; {cure}"
