"""Which promises were judged, and what came of each: thresholds, invariants, regressions? (pure)"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from sre.loadtest.judge.finding import Finding, State
from sre.loadtest.judge.report import Report
from sre.loadtest.judge.verdict import Check, show
from sre.loadtest.output.page_table import Cell, code, head, number, section, state, table

__all__ = ["findings", "thresholds"]

_ORDER = {State.BROKEN: 0, State.UNKNOWN: 1, State.KEPT: 2}
_NOTES = {
    "invariant": "Asked of the shop's own data after the run: what must hold whatever happened.",
    "regression": "Compared with earlier runs; a run is the sampling unit, not a request.",
    "server": "What the shop's monitoring saw meanwhile. It is shown, it decides nothing.",
}
_TITLES = {"invariant": "Invariants", "regression": "Compared with earlier runs",
           "server": "The server meanwhile"}  # fmt: skip


def thresholds(report: Report) -> str:
    """Broken ones first."""
    if not report.checks:
        note = "No threshold was declared, so nothing about the shop was judged by one."
        return section("Thresholds", f'<p class="note">{note}</p>')
    columns = ["Threshold", "Observed", "Limit", "Samples", "Result"]
    rows = [_threshold(check) for check in sorted(report.checks, key=lambda c: _ORDER[c.state])]
    return section("Thresholds", table(columns, rows))


def _threshold(check: Check) -> list[Cell]:
    threshold = check.threshold
    return [
        ("", "", code(threshold.expression)),
        number("Observed", show(threshold.unit, check.value)),
        number("Limit", escape(f"{threshold.op} {show(threshold.unit, threshold.limit)}")),
        number("Samples", f"{check.samples:,}"),
        number("Result", state(check.state)),
    ]


def findings(report: Report) -> str:
    """A table for each kind that there is; broken ones first."""
    kinds = list(dict.fromkeys(finding.kind for finding in report.findings))
    return "".join(_kind(kind, [f for f in report.findings if f.kind == kind]) for kind in kinds)


def _kind(kind: str, found: Sequence[Finding]) -> str:
    columns = ["Name", "Found", "Expected", "Result", "What to know"]
    rows = [_finding(each) for each in sorted(found, key=lambda f: _ORDER[f.state])]
    note = f'<p class="note">{_NOTES[kind]}</p>' if kind in _NOTES else ""
    return section(_TITLES.get(kind, kind.capitalize()), table(columns, rows), note)


def _finding(finding: Finding) -> list[Cell]:
    shown = state(finding.state)
    if finding.informational:
        shown = '<span class="state">shown only</span>'
    return [
        head(finding.name),
        ("", "Found", escape(finding.value)),
        ("", "Expected", escape(finding.expected)),
        ("", "Result", shown),
        ("wide", "What to know", escape(finding.problem)),
    ]
