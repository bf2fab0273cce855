"""What does a reader of the report see first: the verdict, why, and five numbers? (pure)"""

from __future__ import annotations

from html import escape

from sre.core.units import format_duration
from sre.loadtest.book import Series
from sre.loadtest.judge.report import Report
from sre.loadtest.judge.verdict import VerdictName
from sre.loadtest.output.page_table import ms

__all__ = ["tiles", "verdict"]

_HEADLINES = {
    VerdictName.PASSED: "Passed: the shop holds at this load",
    VerdictName.FAILED: "Failed: the shop does not hold at this load",
    VerdictName.INVALID: "Invalid: this measurement must not be trusted",
    VerdictName.ABORTED: "Aborted: the run was stopped before its end",
}


def verdict(report: Report, at: float | None = None) -> str:
    """The head of the page. `at`: it still goes, that many seconds since its start."""
    facts = report.facts
    what = f"<b>{escape(facts.name)}</b> against <b>{escape(facts.target)}</b>"
    when = f"{escape(facts.started.replace('T', ' ').replace('+00:00', ' UTC'))}"
    box = _final(report) if at is None else _so_far(report, at)
    lasted = format_duration(facts.seconds if at is None else max(0.0, round(at)))
    return f'<header><p class="eyebrow">Load test {what} · {when} · {lasted}</p>{box}</header>'


def _final(report: Report) -> str:
    found = report.verdict
    besides = ""
    if found.name is VerdictName.FAILED and found.doubts:
        doubts = _list([doubt.text for doubt in found.doubts])
        besides = f"<p>Besides, the measurement is in doubt:</p>{doubts}"
    return _box(found.name.value, _HEADLINES[found.name], _words(found.reasons) + besides)


def _so_far(report: Report, at: float) -> str:
    planned = report.facts.planned_seconds
    now = format_duration(max(0, round(min(at, planned))))
    title = f"Running: {now} of {format_duration(planned)}"
    if at > planned:
        title = "Waiting for the last customers"
    good = report.verdict.name is VerdictName.PASSED
    words = "<p>So far all is kept; the verdict comes at the end.</p>"
    if not good:
        words = "<p>So far, and not decided before the end:</p>" + _words(report.verdict.reasons)
    return _box("running", title, words)


def _box(kind: str, title: str, words: str) -> str:
    return f'<div class="verdict {kind}"><h1>{escape(title)}</h1>{words}</div>'


def _words(reasons: tuple[str, ...]) -> str:
    return f"<p>{escape(reasons[0])}</p>" if len(reasons) == 1 else _list(list(reasons))


def _list(words: list[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(each)}</li>' for each in words)}</ul>"


def tiles(report: Report) -> str:
    """Who came, who was served, how long they waited, how punctual the generator was."""
    whole = Series()
    for part in report.journeys:
        whole.merge(part.series)
    arrivals = sum(part.tally.arrivals for part in report.journeys)
    good = sum(part.measured.count("ok") for part in report.journeys)
    dropped = sum(part.tally.dropped for part in report.journeys)
    late = report.evidence.lateness.quantile(0.99)
    shown = [
        ("Customers who came", f"{arrivals:,}", f"{dropped:,} could not start" if dropped else
         f"{report.requests:,} requests sent"),
        ("Served well", f"{good / arrivals:.2%}" if arrivals else "none",
         f"{whole.counts['failed']:,} failed"),
        ("Response time, p95", ms(whole.response.quantile(0.95)),
         f"median {ms(whole.response.quantile(0.5))}"),
        ("Service time, p95", ms(whole.service.quantile(0.95)),
         f"median {ms(whole.service.quantile(0.5))}"),
        ("Generator lateness, p99", ms(late), f"limit {ms(report.lateness_limit)}"),
    ]  # fmt: skip
    cells = "".join(
        f'<div class="tile"><dt>{name}</dt><dd>{value}</dd><small>{small}</small></div>'
        for name, value, small in shown
    )
    return f'<dl class="tiles">{cells}</dl>'
