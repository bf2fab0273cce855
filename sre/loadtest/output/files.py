"""How do the reports of a load test reach the disk?"""

from __future__ import annotations

import json
from pathlib import Path

from sre.core.files import replace_file
from sre.core.secrets import redactor
from sre.loadtest.judge.report import Report
from sre.loadtest.output.github import markdown
from sre.loadtest.output.histograms import histograms
from sre.loadtest.output.locust_csv import csv_files
from sre.loadtest.output.prometheus import exposition
from sre.loadtest.output.render import junit
from sre.loadtest.output.render_html import render_html
from sre.loadtest.output.summary import to_summary

__all__ = ["NAMES", "write_reports"]

NAMES = (
    "summary.json", "histograms.json", "junit.xml", "report.html", "ledger.jsonl", "github.md",
    "metrics.prom", "compare.json",
)  # fmt: skip
"""What a run may leave behind, besides the logs of its workers and Locust's CSV files."""


def write_reports(report: Report, out: Path) -> str:
    """Write the ledger, report.html, junit.xml and, last, summary.json, each in one step, masked.

    A reader who finds summary.json finds the others too. Returns what went wrong, in words, such
    as a full disk; empty when all of them stand.
    """
    texts = {
        **({} if report.ledger is None else {"ledger.jsonl": report.ledger}),
        **csv_files(report),
        "histograms.json": histograms(report),
        "metrics.prom": exposition(report, final=True).decode(),
        "github.md": markdown(report),
        "report.html": render_html(report),
        "junit.xml": junit(report),
        "summary.json": json.dumps(to_summary(report), indent=2) + "\n",
    }
    try:
        for name, text in texts.items():
            replace_file(out / name, redactor.mask(text).encode(), mode=0o644)
    except OSError as error:
        return f"the reports could not be written to {out}: {error.strerror}; make room, run again"
    return ""
