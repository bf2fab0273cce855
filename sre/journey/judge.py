"""Given an answer, how does the step stand? Throttled, refused, as expected, extracted. (pure)"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Any

from sre.core.records import record
from sre.journey.exchange import Response
from sre.journey.expect import Expectation, Miss
from sre.journey.extract import NotFound, pick
from sre.journey.model import Step
from sre.journey.page import Page, Unusable
from sre.journey.result import Outcome, Reason
from sre.journey.template import MissingVariable, Scope

__all__ = ["Judged", "cookie_changes", "judge", "judge_until"]


@record(frozen=True, slots=True)
class Judged:
    """A step's standing after one answer.

    Attributes:
        again: an `until` may ask once more.
        values: (name, value, masked) that were extracted.
        retry_after: seconds that a throttling answer asked for.
    """

    outcome: Outcome
    reason: Reason = Reason.NONE
    message: str = ""
    again: bool = False
    values: tuple[tuple[str, Any, bool], ...] = ()
    retry_after: float | None = None

    def given_up(self, within: float) -> Judged:
        """The same after the last poll: out of time, with what was still missing."""
        message = f"not within {within:g} s: {self.message}"
        return replace(self, reason=Reason.TIMEOUT, message=message, again=False)


_OK = Outcome.OK
_FINE = Judged(_OK)
_THROTTLED = 429


def judge(step: Step, page: Page, scope: Scope, picked: dict[str, set[Any]]) -> Judged:
    """Throttled, then refused, then expected, then extracted, in this order."""
    expect = step.expect
    if page.response.status == _THROTTLED or step.refused is not None:
        early = _throttled_or_refused(step, expect, page, scope)
        if early is not None:
            return early
    miss = _miss(expect, page, scope)
    if miss is not None:
        return Judged(Outcome.FAILED, miss.reason, miss.message)
    return _extracted(step, expect, page, scope, picked)


def judge_until(step: Step, page: Page, scope: Scope, picked: dict[str, set[Any]]) -> Judged:
    """Like `judge`, with the expectation of `until`; one that is not met yet may be asked again."""
    assert step.until is not None  # noqa: S101  the caller's choice
    expect = step.until.expect
    early = _throttled_or_refused(step, expect, page, scope)
    if early is not None:
        return early
    miss = _miss(expect, page, scope)
    if miss is not None:
        # What only an extracted value could mend does not mend itself by asking again.
        return Judged(
            Outcome.FAILED, miss.reason, miss.message, again=miss.reason is not Reason.EXTRACT
        )
    return _extracted(step, expect, page, scope, picked)


def _throttled_or_refused(
    step: Step, expect: Expectation, page: Page, scope: Scope
) -> Judged | None:
    status = page.response.status
    if status == _THROTTLED and not (expect.status is not None and expect.status.admits(429)):
        after = _retry_after(page.response)
        hint = "" if after is None else f"; retry after {after:g} s"
        return Judged(Outcome.THROTTLED, message=f"status 429{hint}", retry_after=after)
    try:
        if step.refused is not None and step.refused.any_hit(page, scope):
            return Judged(Outcome.REFUSED, message=f"the shop refused (status {status})")
    except (MissingVariable, Unusable) as error:
        miss = _unasked(error)
        return Judged(Outcome.FAILED, miss.reason, miss.message)
    return None


def _miss(expect: Expectation, page: Page, scope: Scope) -> Miss | None:
    try:
        return expect.first_miss(page, scope) or expect.too_slow(page.seconds)
    except (MissingVariable, Unusable) as error:
        return _unasked(error)


def _unasked(error: Exception) -> Miss:
    return Miss(Reason.EXTRACT if isinstance(error, MissingVariable) else Reason.BODY, str(error))


def _extracted(
    step: Step, expect: Expectation, page: Page, scope: Scope, picked: dict[str, set[Any]]
) -> Judged:
    values: list[tuple[str, Any, bool]] = []
    try:
        for extractor in step.extract:
            used = picked.get(extractor.name)
            if used is None:
                used = picked[extractor.name] = set()
            value = pick(extractor, page, scope.rng, used)
            if value is not None:
                values.append((extractor.name, value, extractor.masked))
    except (NotFound, Unusable) as error:
        return Judged(Outcome.FAILED, Reason.EXTRACT, str(error), values=tuple(values))
    if expect.slow is not None and page.seconds >= expect.slow:
        message = f"took {page.seconds:.3f} s; slow from {expect.slow:g} s"
        return Judged(Outcome.DEGRADED, Reason.SLOW, message, values=tuple(values))
    return Judged(_OK, values=tuple(values)) if values else _FINE


def _retry_after(response: Response) -> float | None:
    """`Retry-After` in seconds: a number, or a date (RFC 9110, 10.2.3) relative to `Date`."""
    text = (response.header("retry-after") or "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        then = parsedate_to_datetime(text)
        now = parsedate_to_datetime(response.header("date") or "")
        return max(0.0, (then - now).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


def cookie_changes(response: Response) -> Iterator[tuple[str, str | None]]:
    """(name, value) for each Set-Cookie, in order; None for one that is taken back."""
    for line in response.header_values("set-cookie"):
        pair, *attributes = line.split(";")
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            continue
        gone = any(
            attribute.strip().lower() in ("max-age=0", "max-age=-1")
            or (attribute.strip().lower().startswith("expires=thu, 01") and "1970" in attribute)
            for attribute in attributes
        )
        yield name.strip(), None if gone else value.strip().strip('"')
