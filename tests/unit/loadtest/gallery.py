"""Reports of every kind that a page must look right for, made of plain numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sre.loadtest.histogram import Histogram
from sre.loadtest.judge.finding import Finding, State
from sre.loadtest.judge.report import Report
from sre.loadtest.judge.verdict import judge
from tests.unit.loadtest import made

__all__ = ["GALLERY", "HOSTILE", "gallery_report"]

HOSTILE = "a<b>\"&'</table><script>alert(1)</script>\u202e\x07日本語😀" + "x" * 300
FINDINGS = (
    Finding("invariant", "orders_stored", State.KEPT, "28", "28"),
    Finding(
        "invariant", "no_oversell <b>", State.BROKEN, "3", "at most 0",
        "3 products were sold more often than there were: MUG-1, SHIRT-9 and 'x</td>'",
    ),
    Finding("invariant", "one_capture", State.UNKNOWN, "nothing", "0",
            "the database did not answer within 30 s; run it again"),
    Finding("regression", "checkout.response.p95", State.BROKEN, "912 ms, +14 %", "at most +10 %",
            "slower by 14 % (11 % to 18 %) than the 5 runs before", is_latency=True,
            data={"interval": [0.11, 0.18]}),
    Finding("regression", "browse.failed", State.KEPT, "0.1 %", "0.1 %", informational=True),
    Finding("server", "db_connections", State.KEPT, "mean 12, max 40", "", informational=True,
            data={"points": [[0, 3], [2, 12], [4, None], [6, 20], [8, 40], [12, 9]]}),
)  # fmt: skip
FIFTY = made.RELEASE.replace("      - pay.response.p99 < 10ms\n", "")
GALLERY = ("passed", "failed", "invalid", "aborted", "nobody", "fifty", "running")


def gallery_report(kind: str, folder: Path) -> Report:
    """One of GALLERY."""
    if kind == "nobody":
        rare = made.RELEASE.replace("2/s", "1/d").replace("20/s", "1/d")
        return made.made_report(made.made_job(folder, rare.replace("uniform", "poisson")))
    job = made.made_job(folder, FIFTY if kind in ("passed", "running") else made.RELEASE)
    if kind == "aborted":
        return made.made_report(job, aborted="terminated by SIGTERM")
    if kind == "invalid":
        return made.made_report(
            job, fail_every=0, lateness=Histogram([0.5] * 100), lost=["worker-0 was killed"]
        )
    report = made.made_report(job, fail_every=0 if kind in ("passed", "running") else 7)
    if kind == "fifty":
        part = report.steps[0]
        many = tuple(replace(part, label=f"step {number} {HOSTILE}") for number in range(50))
        return replace(report, steps=many, facts=replace(report.facts, name=HOSTILE))
    before = {"checkout": Histogram([0.03, 0.05, 0.06, 0.061, 0.064, 0.08, 0.12, 0.4])}
    if kind == "failed":
        found = judge(report.checks, (), findings=FINDINGS)
        return replace(report, findings=FINDINGS, baseline=before, verdict=found)
    return replace(report, baseline=before)
