"""How do a comparison and a calibration read on a terminal, and as JSON? (pure)"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sre.loadtest.history.calibration import Noise
from sre.loadtest.history.comparison import Compared, State
from sre.loadtest.history.findings import finding_of, percent, shown, to_plain
from sre.loadtest.history.model import Regression
from sre.loadtest.history.power import Design
from sre.loadtest.history.sets import Sets

__all__ = ["calibration_data", "calibration_text", "comparison_data", "sets_data", "sets_text"]

Table = Callable[..., str]
_DESIGNS = {
    Design.PAIRS: "{0} pairs",
    Design.GROUPS: "{0} runs against {1} runs",
    Design.HISTORY: "{1} run against {0}",
    Design.SINGLE: "{0} against {1} runs: too few to judge by, nothing is",
}
_VERDICTS = {0: "NO REGRESSION", 1: "REGRESSION", 3: "INCONCLUSIVE"}


def comparison_data(compared: Sequence[Compared]) -> dict[str, Any]:
    """The rows of a comparison, JSON-ready (schema sre.loadtest-compare/1)."""
    return {
        "schema": "sre.loadtest-compare/1",
        "metrics": [to_plain(each) for each in compared],
    }


def sets_data(sets: Sets) -> dict[str, Any]:
    """A comparison of two sets of runs, JSON-ready."""
    return comparison_data(list(sets.compared.values())) | {
        "verdict": _VERDICTS[sets.exit_code].lower().replace(" ", "_"),
        "design": sets.design.value,
        "baseline_runs": [record.run_id for record in sets.before],
        "candidate_runs": [record.run_id for record in sets.now],
        "not_compared": dict(sets.lacking),
    }


def sets_text(sets: Sets, table: Table) -> str:
    """The verdict, the reasons, and a row for each metric."""
    how = _DESIGNS[sets.design].format(len(sets.before), len(sets.now))
    head = "SHOWN" if sets.design is Design.SINGLE else _VERDICTS[sets.exit_code]
    lines = [f"{head}  {sets.now[0].name}: {how}"]
    told = (State.REGRESSION, State.INCONCLUSIVE)
    for state in told:
        lines += [
            f"  {name}: {finding_of(each).problem}"
            for name, each in sets.compared.items()
            if each.state is state
        ]
    lines += [f"  {name}: {why}" for name, why in sets.lacking.items()]
    columns = ["metric", "baseline", "candidate", "change", "between", "p", "Holm", ""]
    rows = [_row(each) for each in sets.compared.values()]
    lines += ["", table(columns, rows, right=columns[1:-1])]
    return "\n".join(line.rstrip("\n") for line in lines)


def _row(each: Compared) -> list[str]:
    between = "-"
    if each.low is not None and each.high is not None and (each.before or each.now):
        between = f"{percent(each.low - 1.0)} {percent(each.high - 1.0)}"
    return [
        each.metric.text,
        shown(each.metric, each.before),
        shown(each.metric, each.now),
        percent(each.ratio - 1.0),
        between,
        _p(each.p),
        _p(each.adjusted),
        each.state.value.upper() if each.state is State.REGRESSION else each.state.value,
    ]


def _p(p: float | None) -> str:
    return "-" if p is None else "<0.0001" if p < 1e-4 else f"{p:.4f}"


def calibration_data(
    name: str, noise: Mapping[str, Noise], declared: Regression | None, pairs: Sequence[int]
) -> dict[str, Any]:
    """What was measured, JSON-ready (schema sre.loadtest-calibration/1)."""
    return {
        "schema": "sre.loadtest-calibration/1",
        "name": name,
        "metrics": {text: _noise(each, declared, pairs) for text, each in noise.items()},
    }


def _noise(each: Noise, declared: Regression | None, pairs: Sequence[int]) -> dict[str, Any]:
    alpha, history = _alpha(declared), declared.runs if declared else 5
    allowed = None if declared is None else float(declared.worse_than)
    return {
        "mean_ms": round(each.mean * 1000, 4),
        "noise_percent": round(each.sd * 100, 4),
        "runs": each.runs,
        "history_runs": history,
        "history_sees_percent": round(each.sees(Design.HISTORY, history, alpha) * 100, 3),
        "pairs_see_percent": {
            str(n): round(each.sees(Design.PAIRS, n, alpha) * 100, 3) for n in pairs
        },
        "worse_than_percent": None if allowed is None else round(allowed * 100, 3),
        "pairs_needed": None if allowed is None else each.needs(allowed, Design.PAIRS, alpha),
        "history_needed": None if allowed is None else each.needs(allowed, Design.HISTORY, alpha),
    }


def _alpha(declared: Regression | None) -> float:
    return 0.05 if declared is None else declared.alpha / len(declared.metrics)


def calibration_text(data: Mapping[str, Any], table: Table) -> str:
    """The same for people."""
    rows, pairs, history = [], [], 5
    worse = None
    for text, each in data["metrics"].items():
        pairs, history = list(each["pairs_see_percent"]), each["history_runs"]
        worse = each["worse_than_percent"]
        row = [text, f"{each['mean_ms']:.4g} ms", f"{each['noise_percent']:.2f} %"]
        row.append(f"{each['history_sees_percent']:.1f} %")
        row += [f"{sees:.1f} %" for sees in each["pairs_see_percent"].values()]
        if worse is not None:
            row += [_count(each["history_needed"]), _count(each["pairs_needed"])]
        rows.append(row)
    columns = ["metric", "mean", "noise", f"1 against {history}", *(f"{n} pairs" for n in pairs)]
    if worse is not None:
        columns += [f"baselines for {worse:g} %", f"pairs for {worse:g} %"]
    runs = max((each["runs"] for each in data["metrics"].values()), default=0)
    head = (
        f"{data['name']}: {runs} runs of the same build; the noise is the standard deviation from "
        "run to run.\nThe smallest slowdown that is seen in 80 of 100 cases:"
    )
    return f"{head}\n\n{table(columns, rows, right=columns[1:])}".rstrip("\n")


def _count(number: int | None) -> str:
    return "no number" if number is None else str(number)
