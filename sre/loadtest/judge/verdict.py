"""Passed, failed, invalid or aborted? (pure)

The first that applies: aborted; failed, if an outcome threshold or a *valid* latency threshold is
broken; invalid; passed. Too few samples or a late generator turn a pass or a latency failure into
invalid, never an outcome failure: a customer who was turned away was turned away, however late he
had been sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sre.loadtest.book import Latency
from sre.loadtest.judge.finding import Finding, State
from sre.loadtest.judge.validity import Cause, Doubt
from sre.loadtest.thresholds import QUANTILES, Threshold

__all__ = [
    "EXIT_CODES",
    "Check",
    "Measured",
    "State",
    "Verdict",
    "VerdictName",
    "evaluate",
    "judge",
    "show",
]


class VerdictName(StrEnum):
    """The four ways in which a load test ends."""

    PASSED = "passed"
    FAILED = "failed"
    INVALID = "invalid"
    ABORTED = "aborted"


EXIT_CODES = {
    VerdictName.PASSED: 0,
    VerdictName.FAILED: 1,
    VerdictName.INVALID: 3,
    VerdictName.ABORTED: 8,
}
_REFUSED = 5


@dataclass(frozen=True)
class Measured:
    """What was seen of a journey, a step or a group.

    Attributes:
        arrivals: customers of the journey, dropped ones included.
        counts: by outcome, `dropped` included where it applies.
        response, service: latencies, good answers and failures apart.
    """

    arrivals: int
    counts: Mapping[str, int]
    response: Latency
    service: Latency

    def count(self, outcome: str) -> int:
        """How many ended so; `ok` takes degraded in."""
        own = self.counts.get(outcome, 0)
        return own + self.counts.get("degraded", 0) if outcome == "ok" else own


@dataclass(frozen=True)
class Check:
    """One threshold with what was observed.

    Attributes:
        value: seconds, a fraction of 1, or a count, as the threshold's unit says; None if there
            was nothing to look at.
        samples: how many events the value rests on.
    """

    threshold: Threshold
    value: float | None
    samples: int
    state: State


@dataclass(frozen=True)
class Verdict:
    """How the run ended, and why.

    Attributes:
        reasons: in words for people, the weightiest first.
        doubts: everything that speaks against the measurement, samples that are too few included.
    """

    name: VerdictName
    reasons: tuple[str, ...] = ()
    doubts: tuple[Doubt, ...] = ()

    @property
    def exit_code(self) -> int:
        """The documented exit code of the verdict.

        An invalid run that was led off the allow-list ends as refused: to run it again is no cure.
        """
        led_away = any(doubt.cause is Cause.BLOCKED for doubt in self.doubts)
        return _REFUSED if self.name is VerdictName.INVALID and led_away else EXIT_CODES[self.name]


def evaluate(threshold: Threshold, seen: Measured, min_samples: int) -> Check:
    """Hold one threshold against what was seen.

    A latency is kept only on `min_samples` good answers, and broken only on as many answers and
    failures; a share is kept only on as many arrivals; otherwise nobody knows. A broken outcome is
    broken however few there were.
    """
    if threshold.is_latency:
        return _evaluate_latency(threshold, seen, min_samples)
    count = seen.count(threshold.measure)
    if not seen.arrivals:
        return Check(threshold, None, 0, State.UNKNOWN)
    value = count / seen.arrivals if threshold.unit == "share" else float(count)
    state = State.KEPT if threshold.holds(value) else State.BROKEN
    if state is State.KEPT and threshold.unit == "share" and seen.arrivals < min_samples:
        state = State.UNKNOWN
    return Check(threshold, value, seen.arrivals, state)


def _evaluate_latency(threshold: Threshold, seen: Measured, min_samples: int) -> Check:
    latency = seen.response if threshold.series == "response" else seen.service
    value = latency.quantile(QUANTILES[threshold.measure])
    if value is None:
        return Check(threshold, None, 0, State.UNKNOWN)
    kept = threshold.holds(value)
    samples = latency.good.count if kept else latency.count
    if samples < min_samples:
        return Check(threshold, value, samples, State.UNKNOWN)
    return Check(threshold, value, samples, State.KEPT if kept else State.BROKEN)


def judge(
    checks: Sequence[Check],
    doubts: Sequence[Doubt],
    *,
    findings: Sequence[Finding] = (),
    aborted: str | None = None,
) -> Verdict:
    """The verdict over all thresholds, all findings and all doubts about the measurement."""
    judged = [finding for finding in findings if not finding.informational]
    doubts = (
        *doubts,
        *(_too_few(check) for check in checks if check.state is State.UNKNOWN),
        *(finding.doubt for finding in judged if finding.state is State.UNKNOWN),
    )
    if aborted is not None:
        return Verdict(VerdictName.ABORTED, (aborted,), doubts)
    trusted = not any(doubt.spoils_latency for doubt in doubts)
    broken = [(_broken(c), c.threshold.is_latency) for c in checks if c.state is State.BROKEN]
    broken += [(f.words, f.is_latency) for f in judged if f.state is State.BROKEN]
    counted = tuple(words for words, is_latency in broken if trusted or not is_latency)
    if counted:
        return Verdict(VerdictName.FAILED, counted, doubts)
    if doubts:
        reasons = [doubt.text for doubt in doubts]
        reasons += [f"not to be believed: {words}" for words, _ in broken]
        return Verdict(VerdictName.INVALID, tuple(reasons), doubts)
    return Verdict(VerdictName.PASSED, (_praise(checks, judged),))


def _broken(check: Check) -> str:
    return f"{check.threshold.expression}: observed {show(check.threshold.unit, check.value)}"


def _too_few(check: Check) -> Doubt:
    text = f"{check.threshold.expression}: {check.samples} samples are too few to judge it by"
    return Doubt(Cause.TOO_FEW_SAMPLES, text)


def _praise(checks: Sequence[Check], findings: Sequence[Finding]) -> str:
    if not checks and not findings:
        return "no threshold was declared; the measurement itself is sound"
    parts = [f"all {len(checks)} thresholds kept" if len(checks) > 1 else "the threshold was kept"]
    held = sum(finding.kind == "invariant" for finding in findings)
    parts = parts if checks else []
    parts += [f"{held} invariant{'s' * (held > 1)} held"] if held else []
    if any(finding.kind == "regression" for finding in findings):
        parts.append("no regression")
    return ", ".join(parts)


def show(unit: str, value: float | None) -> str:
    """A value of a threshold for people: `812 ms`, `0.42 %`, `3`."""
    if value is None:
        return "nothing"
    if unit == "seconds":
        return f"{value * 1000:.4g} ms" if value < 10 else f"{value:.4g} s"
    return f"{value * 100:.4g} %" if unit == "share" else f"{value:g}"
