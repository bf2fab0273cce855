"""How are objectives and what is wrong with them shown, to people and to programs? (pure)"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sre.core.console import table
from sre.core.errors import Problem
from sre.slo.lint import Finding
from sre.slo.status import Standing

__all__ = ["findings_as_json", "findings_as_text", "status_as_json", "status_as_text"]

Places = Mapping[str, Problem]


def findings_as_text(findings: Sequence[Finding], places: Places, objectives: int) -> str:
    """A line for each finding, with its place where that is known, and a count."""
    lines = [
        f"{place.file}:{place.line}:{place.col} {finding}"
        if (place := places.get(finding.objective))
        else str(finding)
        for finding in findings
    ]
    errors = sum(finding.severity == "error" for finding in findings)
    counts = (
        (objectives, "objective"), (errors, "error"), (len(findings) - errors, "warning"),
    )  # fmt: skip
    lines.append(", ".join(f"{n} {what}{'' if n == 1 else 's'}" for n, what in counts))
    return "\n".join(lines)


def findings_as_json(findings: Sequence[Finding], places: Places) -> str:
    """One document of schema `sre.slo-lint/1`; its problems look like those of `sre check`."""
    return json.dumps(
        {
            "schema": "sre.slo-lint/1",
            "problems": [_problem(finding, places.get(finding.objective)) for finding in findings],
        },
        indent=2,
    )


def _problem(finding: Finding, place: Problem | None) -> dict[str, Any]:
    return {
        "rule": finding.rule,
        "severity": finding.severity,
        "objective": finding.objective,
        "path": place.path if place else None,
        "file": place.file if place else None,
        "line": place.line if place else None,
        "col": place.col if place else None,
        "message": finding.message,
        "remedy": finding.remedy,
    }


def status_as_text(standings: Sequence[Standing]) -> str:
    """A line for each objective, then one for each alert that is pending or firing."""
    rows = [
        (
            one.name,
            one.state,
            one.target,
            _percent(one.sli, 4),
            one.window,
            _percent(one.budget_left, 1),
            " ".join(f"{window}:{rate:.3g}" for window, rate in (one.burn or {}).items()),
        )
        for one in standings
    ]
    head = ("objective", "state", "target", "good", "window", "budget left", "burn rates")
    lines = [table(head, rows, right=("target", "good", "budget left")).rstrip("\n")]
    lines += [
        f"{alert.state}: {alert.name} ({alert.severity}, {alert.window})"
        for one in standings
        for alert in one.alerts
    ]
    if any(one.state == "not recorded" for one in standings):
        lines.append("not recorded: load the rules that `sre slo rules` writes into Prometheus")
    return "\n".join(lines)


def status_as_json(standings: Sequence[Standing]) -> str:
    """One document of schema `sre.slo-status/1`."""
    objectives = [_standing(one) for one in standings]
    return json.dumps({"schema": "sre.slo-status/1", "objectives": objectives}, indent=2)


def _standing(one: Standing) -> dict[str, Any]:
    return {
        "name": one.name,
        "subject": one.subject,
        "target": one.target,
        "window": one.window,
        "state": one.state,
        "sli": _rounded(one.sli),
        "budget_left": _rounded(one.budget_left),
        "burn_rates": {window: _rounded(rate) for window, rate in (one.burn or {}).items()},
        "alerts": [
            {"name": a.name, "severity": a.severity, "window": a.window, "state": a.state}
            for a in one.alerts
        ],
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _percent(value: float | None, places: int) -> str:
    if value is None:
        return "-"
    text = f"{value * 100:.{places}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text}%"
