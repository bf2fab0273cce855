"""What does the report for people say? One self-contained file, the verdict first. (pure)"""

from __future__ import annotations

from html import escape

from sre.loadtest.judge.report import Report
from sre.loadtest.output.page_charts import charts
from sre.loadtest.output.page_judged import findings, thresholds
from sre.loadtest.output.page_live import SCRIPT
from sre.loadtest.output.page_parts import exemplars, parts, stages, trouble
from sre.loadtest.output.page_style import STYLE
from sre.loadtest.output.page_top import tiles, verdict
from sre.loadtest.output.page_trust import accounts, footer, validity

__all__ = ["render_html"]


def render_html(report: Report, at: float | None = None) -> str:
    """The whole page, as text; nothing in it needs the network.

    Args:
        at: the run still goes, that many seconds since its start: the page says so and keeps
            itself up to date.
    """
    title = f"{report.facts.name}: {'running' if at is not None else report.verdict.name.value}"
    sections = [
        verdict(report, at),
        tiles(report),
        thresholds(report),
        findings(report),
        charts(report),
        parts(report),
        stages(report),
        trouble(report),
        exemplars(report),
        accounts(report),
        validity(report),
        footer(report),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f"<body><main>{''.join(sections)}</main>{SCRIPT if at is not None else ''}</body></html>\n"
    )
