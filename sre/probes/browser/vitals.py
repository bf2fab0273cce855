"""How fast, steady and whole was the page? (pure)

Times are seconds from the start of the navigation, as Chromium measured them. INP is not among
them: without a customer who clicks there is no interaction to measure; long tasks (`blocking`) are
what a page load can tell about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from sre.core.units import Duration, Size
from sre.journey.result import PHASES, Outcome, Reason
from sre.probes.bounds import crossed, unknown
from sre.probes.facts import Facts
from sre.probes.model import Gauge

__all__ = ["FACTS", "Limits", "blocking", "gauges", "judge_limits", "numbers", "phases", "shifted"]

_GAP, _WINDOW = 1000.0, 5000.0
_LONG = 50.0
_OF_TIME = ("ttfb", "fcp", "lcp", "load", "blocking")

FACTS = Facts(
    "browser",
    ("time_to_first_byte_seconds", "From the navigation's start to the first byte of the page."),
    ("first_contentful_paint_seconds", "When the first text or picture was drawn."),
    ("largest_contentful_paint_seconds", "When the largest text or picture was drawn (LCP)."),
    ("dom_content_loaded_seconds", "When the page was read and its scripts had run."),
    ("load_seconds", "When the page and all it asks for had loaded."),
    ("ready_seconds", "When what `wait:` asks for was there."),
    ("cumulative_layout_shift", "How much of the page moved, worst five seconds (CLS)."),
    ("blocking_seconds", "What tasks took beyond 50 ms after the first paint (as TBT)."),
    ("transfer_bytes", "What came over the wire, headers included."),
    ("requests", "Requests that the page made, redirects included."),
    ("requests_failed", "Subresources that did not come or came with a status of 400 or more."),
    ("requests_blocked", "Requests that the allow-list did not let out."),
    ("script_errors", "Exceptions that no script of the page caught."),
    ("console_errors", "Messages that scripts of the page wrote with console.error."),
    ("starting_seconds", "What starting the browser took; in no other number."),
)


@dataclass(frozen=True)
class Limits:
    """Times from the navigation's start; `weight` in bytes over the wire; the rest are counts."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    ttfb: Duration | None = None
    fcp: Duration | None = None
    lcp: Duration | None = None
    load: Duration | None = None
    cls: float | None = None
    blocking: Duration | None = None
    weight: Size | None = None
    requests: int | None = None
    script_errors: int | None = None
    failed_requests: int | None = None


def shifted(shifts: Iterable[Sequence[float]]) -> float:
    """CLS: the worst session window (gaps below 1 s, 5 s at most) of (start in ms, value)."""
    worst = total = 0.0
    begun = last = -_WINDOW - _GAP
    for start, value in sorted((float(one[0]), float(one[1])) for one in shifts):
        if start - last >= _GAP or start - begun >= _WINDOW:
            begun, total = start, 0.0
        total, last = total + value, start
        worst = max(worst, total)
    return worst


def blocking(tasks: Iterable[Sequence[float]], fcp: float | None) -> float:
    """Seconds beyond 50 ms of the tasks (start, duration in ms) that end after the first paint."""
    after = 0.0 if fcp is None else fcp
    return sum(max(0.0, took - _LONG) for start, took in tasks if start + took > after) / 1000


def numbers(facts: Mapping[str, Any], blocked: int) -> dict[str, float]:
    """What the child told, by the names of `Limits` and more; what was not measured is absent."""
    page = facts.get("page") or {}
    timing = page.get("timing") or {}
    lost = sum(row[3] for row in facts.get("failed", ())) - blocked
    found: dict[str, float | None] = {
        "ttfb": _positive(timing.get("responseStart")),
        "fcp": _positive(page.get("fcp")),
        "lcp": _positive(page.get("lcp")),
        "dom": _positive(timing.get("domContentLoadedEventEnd")),
        "load": _positive(timing.get("loadEventEnd")),
        "ready": _positive(facts.get("ready")),
        "weight": facts.get("bytes"),
        "requests": facts.get("requests"),
        "failed_requests": max(0, lost) + facts.get("bad", 0),
        "blocked": float(blocked),
        "script_errors": facts.get("script_errors"),
        "console_errors": facts.get("console_errors"),
    }
    if page:
        found["cls"] = shifted(page.get("shifts", ()))
        found["blocking"] = blocking(page.get("tasks", ()), page.get("fcp"))
    return {name: float(value) for name, value in found.items() if value is not None}


def _positive(milliseconds: float | None) -> float | None:
    """Seconds; 0 says that it has not happened."""
    return milliseconds / 1000 if milliseconds else None


_GAUGES = {
    "ttfb": "time_to_first_byte_seconds",
    "fcp": "first_contentful_paint_seconds",
    "lcp": "largest_contentful_paint_seconds",
    "dom": "dom_content_loaded_seconds",
    "load": "load_seconds",
    "ready": "ready_seconds",
    "cls": "cumulative_layout_shift",
    "blocking": "blocking_seconds",
    "weight": "transfer_bytes",
    "requests": "requests",
    "failed_requests": "requests_failed",
    "blocked": "requests_blocked",
    "script_errors": "script_errors",
    "console_errors": "console_errors",
}


def gauges(found: Mapping[str, float], starting: float | None) -> tuple[Gauge, ...]:
    """The numbers as the kind declares them."""
    made = [FACTS(gauge, found[name]) for name, gauge in _GAUGES.items() if name in found]
    if starting is not None:
        made.append(FACTS("starting_seconds", starting))
    return tuple(made)


def phases(timing: Mapping[str, float], resolve: float | None) -> dict[str, float]:
    """Phases of the document's own request; one that did not happen is absent."""
    at = {name: float(value) for name, value in timing.items() if isinstance(value, int | float)}
    found: dict[str, float] = {} if resolve is None else {"resolve": resolve}
    begun, secure, connected = (
        at.get(name, 0.0) for name in ("connectStart", "secureConnectionStart", "connectEnd")
    )
    if connected > begun > 0:
        found["connect"] = ((secure or connected) - begun) / 1000
        if secure:
            found["tls"] = (connected - secure) / 1000
    asked, first, last = (
        at.get(name, 0.0) for name in ("requestStart", "responseStart", "responseEnd")
    )
    if first >= asked > 0:
        found["processing"] = (first - asked) / 1000
        found["transfer"] = max(0.0, last - first) / 1000
    return {name: found[name] for name in PHASES if name in found}


def judge_limits(
    found: Mapping[str, float], highest: Limits, warn: Limits
) -> tuple[Outcome, Reason, str]:
    """Failed above `highest`, degraded above `warn` or where a limit cannot be judged."""
    for outcome, limits in ((Outcome.FAILED, highest), (Outcome.DEGRADED, warn)):
        told = crossed(limits, found)
        if told:
            return outcome, _reason(limits, found), "; ".join(told)
    blind = dict.fromkeys(unknown(highest, found) + unknown(warn, found))
    if blind:
        words = [f"the limit {name!r} cannot be judged: not measured" for name in blind]
        return Outcome.DEGRADED, Reason.BODY, "; ".join(words)
    return Outcome.OK, Reason.NONE, ""


def _reason(limits: Limits, found: Mapping[str, float]) -> Reason:
    slow = any(
        (limit := getattr(limits, name)) is not None and found.get(name, 0.0) > limit
        for name in _OF_TIME
    )
    return Reason.SLOW if slow else Reason.BODY
