"""Is an answer what the step expects? And is it a refusal of the business rather than a failure?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sre.journey.page import NOT_JSON, Page
from sre.journey.result import Reason
from sre.journey.rules import (
    Bounds,
    CssRule,
    HeaderRule,
    JsonRule,
    Miss,
    Pattern,
    StatusRule,
    TemplateTree,
    regex_of,
)
from sre.journey.template import Scope, Template
from sre.journey.values import quoted

__all__ = [
    "Bounds",
    "CssRule",
    "Expectation",
    "HeaderRule",
    "JsonRule",
    "Miss",
    "Pattern",
    "StatusRule",
    "TemplateTree",
]

_DEFAULT = StatusRule(((200, 399),))


@dataclass(frozen=True, slots=True)
class Expectation:
    """All that a step asks of its answer. As `refused`, any one part that matches is enough.

    Attributes:
        below: seconds; at or above it the step fails with reason `slow`.
        slow: seconds; at or above it the step is degraded.
    """

    status: StatusRule | None = None
    header: tuple[HeaderRule, ...] = ()
    contains: tuple[Template, ...] = ()
    not_contains: tuple[Template, ...] = ()
    matches: tuple[Template, ...] = ()
    not_matches: tuple[Template, ...] = ()
    json: tuple[JsonRule, ...] = ()
    css: tuple[CssRule, ...] = ()
    size: Bounds | None = None
    below: float | None = None
    slow: float | None = None

    @property
    def needs_body(self) -> bool:
        """Whether the body itself is asked about."""
        texts = self.contains or self.not_contains or self.matches or self.not_matches
        return bool(texts or self.json or self.css or self.size)

    @property
    def status_only(self) -> StatusRule | None:
        """The rule for the status, where nothing else is asked."""
        if self.needs_body or self.header or (self.below, self.slow) != (None, None):
            return None
        return self.status or _DEFAULT

    def first_miss(self, page: Page, scope: Scope) -> Miss | None:
        """The first part that is not met, cheapest first; status 200 to 399 unless told."""
        rule = self.status or _DEFAULT
        if not rule.admits(page.response.status):
            return Miss(Reason.STATUS, f"expected status {rule}, got {page.response.status}")
        for miss in self._parts(page, scope):
            if miss is not None:
                return miss
        return None

    def any_hit(self, page: Page, scope: Scope) -> bool:
        """Any one part matches: a business refusal."""
        if self.status is not None and self.status.admits(page.response.status):
            return True
        return any(miss is None for miss in self._parts(page, scope))

    def too_slow(self, seconds: float) -> Miss | None:
        """The hard bound `below`."""
        if self.below is not None and seconds >= self.below:
            return Miss(
                Reason.SLOW, f"took {seconds:.3f} s; the step must stay below {self.below:g} s"
            )
        return None

    def _parts(self, page: Page, scope: Scope) -> Iterator[Miss | None]:
        for header_rule in self.header:
            found = header_rule.miss(page, scope)
            yield None if found is None else Miss(Reason.HEADER, found)
        if self.contains or self.not_contains or self.matches or self.not_matches:
            yield from self._texts(page, scope)
        for json_rule in self.json:
            yield _json(page, json_rule, scope)
        for css_rule in self.css:
            found = css_rule.miss(page, scope)
            yield None if found is None else Miss(Reason.BODY, found)
        if self.size is not None:
            yield _size(page, self.size)

    def _texts(self, page: Page, scope: Scope) -> Iterator[Miss | None]:
        for template in self.contains:
            yield _contains(page, template, scope, wanted=True)
        for template in self.not_contains:
            yield _contains(page, template, scope, wanted=False)
        for template in self.matches:
            yield _matches(page, template, scope, wanted=True)
        for template in self.not_matches:
            yield _matches(page, template, scope, wanted=False)


def _contains(page: Page, template: Template, scope: Scope, *, wanted: bool) -> Miss | None:
    text = template.render(scope)
    if (text in page.text) == wanted:
        return None
    verb = "does not contain" if wanted else "contains"
    return Miss(Reason.BODY, f"the body {verb} {quoted(text, scope.mask)}")


def _matches(page: Page, template: Template, scope: Scope, *, wanted: bool) -> Miss | None:
    regex = regex_of(template.render(scope, re.escape))
    if (regex.search(page.text) is not None) == wanted:
        return None
    verb = "does not match" if wanted else "matches"
    return Miss(Reason.BODY, f"the body {verb} {quoted(template.render(scope), scope.mask)}")


def _json(page: Page, rule: JsonRule, scope: Scope) -> Miss | None:
    if page.json is NOT_JSON:
        return Miss(Reason.BODY, f"the body is not JSON: {quoted(page.text, scope.mask)}")
    found = rule.miss(page.json, scope)
    return None if found is None else Miss(Reason.BODY, found)


def _size(page: Page, bounds: Bounds) -> Miss | None:
    size = len(page.response.body)
    if bounds.holds(size):
        return None
    return Miss(Reason.BODY, f"the body has {size} bytes; expected {bounds}")
