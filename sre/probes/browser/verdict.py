"""Is what Chromium saw a good page, a poor one, or none at all, and for which reason? (pure)"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from sre.core.units import format_duration
from sre.journey.result import Outcome, Reason
from sre.probes.browser.door import Refusal
from sre.probes.browser.vitals import Limits, judge_limits

__all__ = ["Expect", "Verdict", "Wanted", "judge"]


@dataclass(frozen=True)
class Expect:
    """What a customer must find: an element, a text, a text within the title.

    Attributes:
        selector: CSS selector of an element that is visible.
        contains: a text of the page as it is drawn.
        title: a text within the page's title.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    selector: str | None = None
    contains: str | None = None
    title: str | None = None


class Verdict(NamedTuple):
    outcome: Outcome
    reason: Reason
    message: str


@dataclass(frozen=True)
class Wanted:
    """What the configuration asks of a page."""

    wait: str = "load"
    expect: Expect = field(default_factory=Expect)
    highest: Limits = field(default_factory=Limits)
    warn: Limits = field(default_factory=Limits)


_REASONS = (
    (("ERR_CERT", "ERR_SSL", "ERR_BAD_SSL"), Reason.TLS),
    (("ERR_NAME", "ERR_DNS", "ERR_ICANN"), Reason.DNS),
    (("ERR_TIMED_OUT", "ERR_CONNECTION_TIMED_OUT"), Reason.TIMEOUT),
    (("ERR_CONNECTION_REFUSED", "ERR_ADDRESS", "ERR_SOCKS", "ERR_PROXY"), Reason.CONNECT),
    (("ERR_CONTENT", "ERR_INCOMPLETE_CHUNKED", "ERR_RESPONSE_BODY"), Reason.BODY),
)  # fmt: skip


def judge(
    facts: Mapping[str, Any], found: Mapping[str, float], wanted: Wanted, refusal: Refusal | None
) -> Verdict:
    """The first thing that is wrong, in the order in which a customer would meet it.

    Args:
        facts: what the child told; found: its numbers.
        refusal: why the page's own document had no connection.
    """
    return (
        _opened(facts, refusal)
        or _waited(facts, found, wanted)
        or _expected(facts.get("page") or {}, wanted.expect)
        or Verdict(*judge_limits(found, wanted.highest, wanted.warn))
    )


def _opened(facts: Mapping[str, Any], refusal: Refusal | None) -> Verdict | None:
    error, status = facts.get("error") or "", facts.get("status") or 0
    if facts.get("crashed"):
        return _failed(Reason.BODY, "the page crashed the browser's tab")
    if facts.get("downloaded"):
        return _failed(Reason.BODY, "the address is a file to download, no page")
    if error and refusal is not None:
        return Verdict(refusal.outcome, refusal.reason, refusal.message)
    if error and not (error == "ERR_HTTP_RESPONSE_CODE_FAILURE" and status):
        return _failed(_reason(error), f"the page could not be opened: {error}")
    if status >= 400:
        return _failed(Reason.STATUS, f"the page answered with status {status}")
    return None


def _reason(error: str) -> Reason:
    for beginnings, reason in _REASONS:
        if error.startswith(beginnings):
            return reason
    return Reason.PROTOCOL


def _waited(facts: Mapping[str, Any], found: Mapping[str, float], wanted: Wanted) -> Verdict | None:
    late = facts.get("late")
    if late == "load":
        first = f" (first byte after {format_duration(found['ttfb'])})" if "ttfb" in found else ""
        return _failed(Reason.TIMEOUT, f"the page was still loading when the time was over{first}")
    if late == "wait":
        what = (
            "the network was not idle" if wanted.wait == "idle" else f"{wanted.wait!r} was not seen"
        )
        return _failed(Reason.TIMEOUT, f"{what} when the time was over")
    if facts.get("stuck"):
        return _failed(Reason.TIMEOUT, "the page loaded, but its scripts never come to rest")
    return None


def _expected(page: Mapping[str, Any], expect: Expect) -> Verdict | None:
    if expect.selector is not None and page.get("selector") is not True:
        what = "is no CSS selector" if page.get("selector") is None else "is not on the page"
        reason = Reason.PROBER if page.get("selector") is None else Reason.BODY
        return _failed(reason, f"{expect.selector!r} {what}")
    if expect.contains is not None and not page.get("contains"):
        return _failed(Reason.BODY, f"the page does not say {expect.contains!r}")
    if expect.title is not None and expect.title not in page.get("title", ""):
        return _failed(Reason.BODY, f"the title is {page.get('title', '')[:100]!r}")
    return None


def _failed(reason: Reason, message: str) -> Verdict:
    return Verdict(Outcome.FAILED, reason, message)
