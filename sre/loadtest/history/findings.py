"""How does a comparison read: as a finding of the gate, as a row, as JSON? (pure)"""

from __future__ import annotations

import math
from typing import Any

from sre.loadtest.history.comparison import Compared, State
from sre.loadtest.history.model import Metric
from sre.loadtest.history.power import Design
from sre.loadtest.judge.finding import Finding
from sre.loadtest.judge.finding import State as Found
from sre.loadtest.judge.verdict import show

__all__ = ["finding_of", "percent", "shown", "to_plain", "unknown"]


def percent(share: float | None) -> str:
    """`+4.2 %`; what is more than a hundredfold is a number of times."""
    if share is None:
        return "-"
    if share >= 99:
        return "from nothing" if math.isinf(share) else f"{share + 1:.3g} times"
    return f"{share * 100:+.3g} %"


def shown(metric: Metric, value: float) -> str:
    """A value of the metric for people."""
    return show("seconds" if metric.is_latency else "share", value)


def finding_of(each: Compared, name: str = "") -> Finding:
    """What the gate makes of one decided comparison."""
    states = {
        State.REGRESSION: Found.BROKEN,
        State.INCONCLUSIVE: Found.UNKNOWN,
        State.FINE: Found.KEPT,
        State.SHOWN: Found.KEPT,
    }
    return Finding(
        kind="regression",
        name=name or each.metric.text,
        state=states[each.state],
        value=f"{shown(each.metric, each.now)} ({_change(each)})",
        expected=f"at most {percent(each.allowed)} of {_before(each)}",
        problem=_problem(each),
        is_latency=each.metric.is_latency,
        informational=each.state is State.SHOWN,
        data=to_plain(each),
    )


def unknown(name: str, problem: str, *, latency: bool = False) -> Finding:
    """What could not be compared."""
    return Finding(
        "regression", name, Found.UNKNOWN, "not compared", "comparable runs", problem, latency
    )


def _before(each: Compared) -> str:
    return f"{shown(each.metric, each.before)} ({_runs(each)})"


def _runs(each: Compared) -> str:
    count = each.runs[0]
    if each.design is Design.PAIRS:
        return f"{count} pairs"
    if each.design is Design.ANCHOR:
        return "the anchor"
    return f"{count} run{'s' * (count > 1)}"


def _change(each: Compared) -> str:
    if each.before == each.now:
        return "as before"
    change = percent(each.ratio - 1.0)
    if each.low is None or each.high is None:
        return change
    return f"{change}, between {percent(each.low - 1.0)} and {percent(each.high - 1.0)}"


def _problem(each: Compared) -> str:
    if each.state is State.REGRESSION:
        p = each.adjusted if each.adjusted is not None else 1.0
        return (
            f"{shown(each.metric, each.now)} is {percent(each.ratio - 1.0)} against "
            f"{_before(each)}; {percent(each.allowed)} is allowed, and chance does that in "
            f"{_chance(p)} of cases"
        )
    if each.state is State.INCONCLUSIVE:
        return (
            f"worse by {percent((each.high or 1.0) - 1.0)} cannot be ruled out: {_runs(each)} with "
            f"this noise see {percent(each.sees)} at best, {percent(each.allowed)} is allowed; "
            f"{_cure(each)}"
        )
    return ""


def _cure(each: Compared) -> str:
    if each.needs is None:
        what = "no number of runs" if each.design is Design.HISTORY else "not even 500 runs"
        return f"{what} would see that: run pairs with --against, or longer runs"
    word = {Design.PAIRS: "pairs", Design.GROUPS: "runs of each"}.get(each.design, "baselines")
    return f"it takes {each.needs} {word}, or longer runs"


def _chance(p: float) -> str:
    return f"{p * 100:.2g} %" if p >= 1e-4 else "less than 0.01 %"


def to_plain(each: Compared) -> dict[str, Any]:
    """JSON-ready: milliseconds and per cent; what is infinite or unknown is null."""
    factor = 1000.0 if each.metric.is_latency else 100.0
    return {
        "metric": each.metric.text,
        "unit": "ms" if each.metric.is_latency else "%",
        "design": each.design.value,
        "runs": list(each.runs),
        "baseline": round(each.before * factor, 6),
        "candidate": round(each.now * factor, 6),
        "ratio": _number(each.ratio),
        "ratio_low": _number(each.low),
        "ratio_high": _number(each.high),
        "p": _number(each.p),
        "p_holm": _number(each.adjusted),
        "p_sign_flip": _number(each.flips),
        "allowed_percent": _number(each.allowed * 100),
        "sees_percent": _number(None if each.sees is None else each.sees * 100),
        "noise_percent": _number(None if each.sd is None else each.sd * 100),
        "runs_needed": each.needs,
        "result": each.state.value,
    }


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(f"{value:.8g}")
