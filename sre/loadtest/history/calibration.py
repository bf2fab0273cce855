"""How noisy is this place, and which slowdown is below its noise?

Runs of the same build against itself (A/A) differ: by how much is the smallest effect that a gate
here can hope to see. It is stored as a fact with the key of the runs; another machine, another
load or another version of the journeys makes it worthless, and then it is not used.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sre.core.clock import Clock
from sre.core.errors import IntegrityError
from sre.core.facts import Facts
from sre.core.units import format_duration
from sre.loadtest.history.comparison import RESOLUTION
from sre.loadtest.history.key import differences
from sre.loadtest.history.model import Metric, Regression, parse_metric
from sre.loadtest.history.power import Design, cautious, runs_for, smallest_share
from sre.loadtest.history.record import Record
from sre.loadtest.history.store import safe_name

__all__ = ["MAX_AGE", "Calibration", "Noise", "measured", "read_calibration", "store_calibration"]

MAX_AGE = 30 * 86400.0


@dataclass(frozen=True)
class Noise:
    """One latency over A/A runs.

    Attributes:
        mean: seconds, geometric. sd: of the logarithm, of one run.
    """

    metric: Metric
    mean: float
    sd: float
    runs: int

    def sees(self, design: Design, runs: int, alpha: float) -> float:
        """The smallest worsening, as a share, that so many runs find in 80 of 100 cases."""
        return smallest_share(design.error(self.sd, runs), design.freedom(runs), alpha)

    def needs(self, share: float, design: Design, alpha: float) -> int | None:
        """How many runs or pairs see a worsening of `share`; None when no number does.

        On the safe side: the noise is an estimate of so many runs itself.
        """
        return runs_for(math.log1p(share), cautious(self.sd, self.runs - 1), design, alpha)


@dataclass(frozen=True)
class Calibration:
    """What was measured here. `at` is Unix seconds."""

    name: str
    key: Mapping[str, str]
    at: float
    noise: Mapping[str, Noise]

    def unusable(self, key: Mapping[str, str], clock: Clock) -> str:
        """Why it says nothing about a run with this key, in words; empty when it does."""
        found = differences(key, self.key)
        if found:
            return f"it was measured under other conditions ({'; '.join(found)})"
        age = clock.wall() - self.at
        return f"it is {format_duration(age)} old" if age > MAX_AGE else ""

    def below_noise(self, rule: Regression, design: Design, runs: int) -> str:
        """What of `rule` nobody could see here, in words; empty when it can arm."""
        alpha = rule.alpha / len(rule.metrics)
        for metric in rule.metrics:
            noise = self.noise.get(metric.text)
            if noise is None:
                continue
            allowed = max(float(rule.worse_than), float(rule.at_least) / noise.mean)
            sees = noise.sees(design, runs, alpha)
            if sees <= allowed:
                continue
            return (
                f"worse_than {_percent(allowed)} of {metric.text} is below the noise of this "
                f"place: {_setting(design, runs)} see {_percent(sees)} at best; "
                f"{_cure(noise, allowed, design, alpha, sees)}"
            )
        return ""


def _setting(design: Design, runs: int) -> str:
    return f"{runs} pairs" if design is Design.PAIRS else f"one run against {runs}"


def _percent(share: float) -> str:
    return f"{share * 100:.3g} %"


def _cure(noise: Noise, allowed: float, design: Design, alpha: float, sees: float) -> str:
    pairs = noise.needs(allowed, Design.PAIRS, alpha)
    by_pairs = f"--against URL --pairs {pairs}" if pairs else "longer runs"
    runs = noise.needs(allowed, design, alpha) if design is Design.HISTORY else None
    more = f"runs: {runs}, or " if runs else ""
    return f"use {more}{by_pairs}, longer runs, or worse_than: {math.ceil(sees * 100)}%"


def measured(records: Sequence[Record], metrics: Sequence[Metric]) -> dict[str, Noise]:
    """The noise of each latency over these runs; metrics that a run lacks are left out."""
    found = {}
    for metric in metrics:
        seen = [record.observed(metric) for record in records]
        values = [o.value for o in seen if o is not None and o.count >= metric.needs]
        if metric.is_latency and len(values) == len(records) >= 2:
            logs = [math.log(max(value, 1e-9)) for value in values]
            mean = sum(logs) / len(logs)
            sd = math.sqrt(sum((log - mean) ** 2 for log in logs) / (len(logs) - 1))
            found[metric.text] = Noise(metric, math.exp(mean), max(sd, RESOLUTION), len(logs))
    return found


def store_calibration(
    name: str, key: Mapping[str, str], noise: Mapping[str, Noise], facts: Facts
) -> None:
    """Publish it. Raises Transient when the disk refuses."""
    value: dict[str, Any] = {
        "name": name,
        "key": dict(key),
        "metrics": {
            text: {"mean_seconds": each.mean, "sd": each.sd, "runs": each.runs}
            for text, each in noise.items()
        },
    }
    facts.publish(_fact(name), value)


def read_calibration(name: str, facts: Facts) -> Calibration | None:
    """What `store_calibration` stored; None when nobody has. Raises IntegrityError if damaged."""
    fact = facts.read(_fact(name))
    if fact is None or fact.value.get("name") != name:
        return None
    try:
        noise = {
            text: Noise(
                parse_metric(text),
                float(each["mean_seconds"]),
                float(each["sd"]),
                int(each["runs"]),
            )
            for text, each in fact.value["metrics"].items()
        }
        key = {str(part): str(words) for part, words in fact.value["key"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise IntegrityError(
            f"the calibration of {name!r} is damaged; run `sre loadtest calibrate {name}` again"
        ) from error
    return Calibration(name, key, fact.at, noise)


def _fact(name: str) -> str:
    return f"loadtest/calibration/{safe_name(name)}"
