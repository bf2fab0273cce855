"""What of a run must be kept so that later runs can be compared with it? (pure)

A key that says what may be compared, and for each journey, step and group its arrivals, outcomes
and latencies. `histograms.json` of a report folder is one; a baseline is one that was accepted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sre.loadtest.book import Latency
from sre.loadtest.histogram import Histogram
from sre.loadtest.history.model import Metric
from sre.loadtest.judge.report import Facts, Part, Report
from sre.loadtest.thresholds import QUANTILES

__all__ = ["SCHEMA", "Kind", "Observed", "Record", "Seen", "record_from", "record_of"]

SCHEMA = "sre.loadtest-histograms/1"
Kind = Literal["journey", "step", "group"]


@dataclass(frozen=True)
class Observed:
    """A metric in one run: seconds or a share of the arrivals; larger is always worse.

    Attributes:
        count, of: the share's two numbers; of a latency, how many answers it rests on, twice.
    """

    value: float
    count: int
    of: int


@dataclass(frozen=True)
class Seen:
    """A journey, a step or a group of one run, warm-up left out."""

    kind: Kind
    journey: str
    name: str
    label: str
    arrivals: int
    counts: Mapping[str, int]
    response: Latency
    service: Latency

    def observed(self, metric: Metric) -> Observed | None:
        """None when there was nothing to look at. `ok` is turned round: what was not ok."""
        if metric.is_latency:
            latency = self.response if metric.series == "response" else self.service
            value = latency.quantile(QUANTILES[metric.measure])
            return None if value is None else Observed(value, latency.count, latency.count)
        if not self.arrivals:
            return None
        count = self.counts.get(metric.measure, 0)
        if metric.measure == "ok":
            count = max(0, self.arrivals - count - self.counts.get("degraded", 0))
        return Observed(count / self.arrivals, count, self.arrivals)


@dataclass(frozen=True)
class Record:
    """One run, as far as others are compared with it.

    Attributes:
        verdict: of the run, `doubts` the codes of what spoke against its measurement.
        achieved: journeys started a second, over the planned time.
        key: see sre.loadtest.history.key.
    """

    name: str
    run_id: str
    started: str
    target: str
    environment: str
    seed: int
    verdict: str
    doubts: tuple[str, ...]
    seconds: float
    achieved: float
    key: Mapping[str, str]
    parts: tuple[Seen, ...] = field(repr=False)

    def find(self, name: str) -> Seen | None:
        """The journey of that name, else the step or group; None when there is none, or several."""
        for part in self.parts:
            if part.kind == "journey" and part.name == name:
                return part
        found = [
            part
            for part in self.parts
            if part.kind != "journey" and name in (part.name, f"{part.journey}/{part.name}")
        ]
        return found[0] if len(found) == 1 else None

    def observed(self, metric: Metric) -> Observed | None:
        """The metric in this run; None when it is not in it."""
        part = self.find(metric.name)
        return None if part is None else part.observed(metric)

    def of_kind(self, kind: Kind) -> Iterable[Seen]:
        """Its journeys, steps or groups."""
        return (part for part in self.parts if part.kind == kind)

    @property
    def responses(self) -> dict[str, Histogram]:
        """Journey -> response times of its good answers."""
        return {part.label: part.response.good for part in self.of_kind("journey")}

    def to_plain(self) -> dict[str, Any]:
        """JSON-ready; `from_plain` reads it back."""
        return {
            "schema": SCHEMA,
            "name": self.name,
            "run_id": self.run_id,
            "started": self.started,
            "target": self.target,
            "environment": self.environment,
            "seed": self.seed,
            "verdict": self.verdict,
            "doubts": list(self.doubts),
            "seconds": round(self.seconds, 3),
            "achieved_per_second": round(self.achieved, 6),
            "key": dict(self.key),
            "parts": [_part_to_plain(part) for part in self.parts],
        }

    @classmethod
    def from_plain(cls, plain: Any) -> Record:
        """Raises KeyError, TypeError or ValueError when `plain` is not the work of `to_plain`."""
        return cls(
            name=_text(plain["name"]),
            run_id=_text(plain["run_id"]),
            started=_text(plain["started"]),
            target=_text(plain["target"]),
            environment=_text(plain["environment"]),
            seed=int(plain["seed"]),
            verdict=_text(plain["verdict"]),
            doubts=tuple(_text(code) for code in plain["doubts"]),
            seconds=float(plain["seconds"]),
            achieved=float(plain["achieved_per_second"]),
            key={_text(part): _text(words) for part, words in plain["key"].items()},
            parts=tuple(_part_from_plain(part) for part in plain["parts"]),
        )


def record_of(report: Report) -> Record:
    """What is kept of a judged run."""
    doubts = tuple(dict.fromkeys(doubt.cause.value for doubt in report.verdict.doubts))
    parts = (*report.journeys, *report.steps, *report.groups)
    return record_from(report.facts, parts, report.verdict.name.value, doubts)


def record_from(
    facts: Facts, parts: Sequence[Part], verdict: str = "", doubts: tuple[str, ...] = ()
) -> Record:
    """What is kept of a run; without a verdict while it is not judged yet."""
    started = sum(part.tally.started for part in parts if part.target.kind == "journey")
    return Record(
        name=facts.name,
        run_id=facts.run_id,
        started=facts.started,
        target=facts.target,
        environment=facts.environment,
        seed=facts.seed,
        verdict=verdict,
        doubts=doubts,
        seconds=facts.seconds,
        achieved=started / max(1e-9, facts.planned_seconds - facts.warmup),
        key=facts.key,
        parts=tuple(_seen(part) for part in parts),
    )


def _seen(part: Part) -> Seen:
    measured = part.measured
    return Seen(
        part.target.kind,
        part.target.journey,
        part.target.name,
        part.label,
        measured.arrivals,
        dict(measured.counts),
        measured.response,
        measured.service,
    )


def _part_to_plain(part: Seen) -> dict[str, Any]:
    return {
        "kind": part.kind,
        "journey": part.journey,
        "name": part.name,
        "label": part.label,
        "arrivals": part.arrivals,
        "counts": dict(part.counts),
        "response": part.response.to_plain(),
        "service": part.service.to_plain(),
    }


def _part_from_plain(plain: Any) -> Seen:
    kind = plain["kind"]
    if kind not in ("journey", "step", "group"):
        raise ValueError(f"{kind!r} is no kind of part")
    made = Seen(
        kind,
        _text(plain["journey"]),
        _text(plain["name"]),
        _text(plain["label"]),
        int(plain["arrivals"]),
        {_text(outcome): int(count) for outcome, count in plain["counts"].items()},
        Latency.from_plain(plain["response"]),
        Latency.from_plain(plain["service"]),
    )
    for histogram in (*_halves(made.response), *_halves(made.service)):
        numbers = (*histogram.buckets, *histogram.buckets.values())
        if not all(isinstance(number, int) for number in numbers):
            raise TypeError("buckets and their counts are whole numbers")
    return made


def _halves(latency: Latency) -> tuple[Histogram, Histogram]:
    return latency.good, latency.failed


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, not {type(value).__name__}")
    return value
