"""Is an answer what the step expects? And is it a refusal of the business rather than a failure?"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

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
_Check = Callable[[Page, Scope], Miss | None]


@dataclass(frozen=True, slots=True)
class Expectation:
    """All that a step asks of its answer. As `refused`, any one part that matches is enough.

    Attributes:
        below: seconds; at or above it the step fails with reason `slow`.
        slow: seconds; at or above it the step is degraded.
        checks: all parts but status and time, cheapest first, as they are asked.
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
    checks: tuple[_Check, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "checks", tuple(self._checks()))

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
        for check in self.checks:
            miss = check(page, scope)
            if miss is not None:
                return miss
        return None

    def any_hit(self, page: Page, scope: Scope) -> bool:
        """Any one part matches: a business refusal."""
        if self.status is not None and self.status.admits(page.response.status):
            return True
        return any(check(page, scope) is None for check in self.checks)

    def too_slow(self, seconds: float) -> Miss | None:
        """The hard bound `below`."""
        if self.below is not None and seconds >= self.below:
            return Miss(
                Reason.SLOW, f"took {seconds:.3f} s; the step must stay below {self.below:g} s"
            )
        return None

    def _checks(self) -> Iterator[_Check]:
        yield from (partial(_header, rule) for rule in self.header)
        yield from (partial(_contains, template, True) for template in self.contains)  # noqa: FBT003
        yield from (partial(_contains, template, False) for template in self.not_contains)  # noqa: FBT003
        yield from (partial(_matches, template, True) for template in self.matches)  # noqa: FBT003
        yield from (partial(_matches, template, False) for template in self.not_matches)  # noqa: FBT003
        yield from (partial(_json, rule) for rule in self.json)
        yield from (partial(_css, rule) for rule in self.css)
        if self.size is not None:
            yield partial(_size, self.size)


def _header(rule: HeaderRule, page: Page, scope: Scope) -> Miss | None:
    found = rule.miss(page, scope)
    return None if found is None else Miss(Reason.HEADER, found)


def _contains(template: Template, wanted: bool, page: Page, scope: Scope) -> Miss | None:  # noqa: FBT001
    text = template.render(scope)
    if (text in page.text) == wanted:
        return None
    verb = "does not contain" if wanted else "contains"
    return Miss(Reason.BODY, f"the body {verb} {quoted(text, scope.mask)}")


def _matches(template: Template, wanted: bool, page: Page, scope: Scope) -> Miss | None:  # noqa: FBT001
    regex = regex_of(template.render(scope, re.escape))
    if (regex.search(page.text) is not None) == wanted:
        return None
    verb = "does not match" if wanted else "matches"
    return Miss(Reason.BODY, f"the body {verb} {quoted(template.render(scope), scope.mask)}")


def _json(rule: JsonRule, page: Page, scope: Scope) -> Miss | None:
    data = page.json
    if data is NOT_JSON:
        return Miss(Reason.BODY, f"the body is not JSON: {quoted(page.text, scope.mask)}")
    found = rule.miss(data, scope)
    return None if found is None else Miss(Reason.BODY, found)


def _css(rule: CssRule, page: Page, scope: Scope) -> Miss | None:
    found = rule.miss(page, scope)
    return None if found is None else Miss(Reason.BODY, found)


def _size(bounds: Bounds, page: Page, _scope: Scope) -> Miss | None:
    size = len(page.response.body)
    if bounds.holds(size):
        return None
    return Miss(Reason.BODY, f"the body has {size} bytes; expected {bounds}")
