"""What does a run leave behind for comparisons with later runs? (pure; histograms.json)"""

from __future__ import annotations

import json

from sre.loadtest.history.record import record_of
from sre.loadtest.judge.report import Report

__all__ = ["histograms"]


def histograms(report: Report) -> str:
    """The text of histograms.json, schema sre.loadtest-histograms/1."""
    return json.dumps(record_of(report).to_plain(), separators=(",", ":")) + "\n"
