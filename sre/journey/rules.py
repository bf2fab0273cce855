"""What may be asked of one part of an answer: a status, a header, a JSON value, elements?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sre.journey.page import Page, Unusable, compile_query, select
from sre.journey.result import Reason
from sre.journey.template import Scope, Template
from sre.journey.values import as_text, quoted

__all__ = [
    "Bounds",
    "CssRule",
    "HeaderRule",
    "JsonRule",
    "Miss",
    "Pattern",
    "StatusRule",
    "TemplateTree",
    "regex_of",
]


@dataclass(frozen=True, slots=True)
class Miss:
    """One expectation that is not met. The message is for people and may quote the page."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Bounds:
    """`{min, max}`, both inclusive; either may be absent."""

    low: float | None = None
    high: float | None = None

    def holds(self, value: float) -> bool:
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    def __str__(self) -> str:
        if self.low == self.high and self.low is not None:
            return f"{self.low:g}"
        low = "" if self.low is None else f"at least {self.low:g}"
        high = "" if self.high is None else f"at most {self.high:g}"
        return " and ".join(part for part in (low, high) if part)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A text to match: exactly, or as a regular expression where it began with `~`.

    Values that references stand for are escaped inside a regular expression.
    """

    template: Template
    regex: bool

    def matches(self, text: str, scope: Scope, *, within: bool = False) -> bool:
        """`within`: a plain text need only be contained."""
        if self.regex:
            return bool(regex_of(self.template.render(scope, re.escape)).search(text))
        wanted = self.template.render(scope)
        return wanted in text if within else wanted == text

    def describe(self, scope: Scope) -> str:
        return ("~" if self.regex else "") + self.template.render(scope)


_CONSTANT = frozenset({bool, int, float, type(None)})


@dataclass(frozen=True, slots=True)
class TemplateTree:
    """A JSON value with templates at its leaves."""

    value: Any

    def fill(self, scope: Scope) -> Any:
        """The value; a leaf that is exactly `${x}` keeps x's JSON type."""
        if type(self.value) in _CONSTANT:
            return self.value
        return _fill(self.value, scope)


def _fill(value: Any, scope: Scope) -> Any:
    if isinstance(value, Template):
        return value.typed(scope)
    if isinstance(value, dict):
        return {
            _fill_key(key, scope): _fill(item, scope)
            for key, item in value.items()
            if not (isinstance(item, Template) and item.left_out(scope.values))
        }
    if isinstance(value, list):
        return [_fill(item, scope) for item in value]
    return value


def _fill_key(key: Any, scope: Scope) -> str:
    return key.render(scope) if isinstance(key, Template) else key


@lru_cache(maxsize=1024)
def regex_of(text: str) -> re.Pattern[str]:
    """The compiled expression. Raises Unusable: with this run's values it is none."""
    try:
        return re.compile(text, re.DOTALL)
    except re.error as error:
        raise Unusable(
            f"with the values of this run it is no regular expression: {error.msg}"
        ) from None


@dataclass(frozen=True, slots=True)
class StatusRule:
    """Status codes as inclusive ranges."""

    ranges: tuple[tuple[int, int], ...]

    def admits(self, status: int) -> bool:
        for low, high in self.ranges:  # noqa: SIM110  asked of each answer: any() costs thrice
            if low <= status <= high:
                return True
        return False

    def __str__(self) -> str:
        return ", ".join(str(a) if a == b else f"{a}..{b}" for a, b in self.ranges)


@dataclass(frozen=True, slots=True)
class JsonRule:
    """What a JMESPath expression must give: a value, a pattern, bounds, existence, a count."""

    query: Template
    equals: TemplateTree | None = None
    pattern: Pattern | None = None
    bounds: Bounds | None = None
    exists: bool | None = None
    count: Bounds | None = None

    def miss(self, data: Any, scope: Scope) -> str | None:
        """None when met, else what was expected and found."""
        query = self.query.render(scope)
        try:
            found = compile_query(query).search(data)
        except ValueError as error:
            return f"{query}: {error}"
        expected = self._unmet(found, scope)
        if expected is None:
            return None
        return f"{query}: expected {expected}, got {quoted(found, scope.mask)}"

    def _unmet(self, found: Any, scope: Scope) -> str | None:
        if self.exists is not None and self.exists != (found is not None):
            return "a value" if self.exists else "none"
        if self.equals is not None:
            wanted = self.equals.fill(scope)
            if not _equal(found, wanted, loose=isinstance(self.equals.value, Template)):
                return quoted(wanted, scope.mask)
        if self.pattern is not None and (
            found is None or not self.pattern.matches(as_text(found), scope)
        ):
            return self.pattern.describe(scope)
        if self.bounds is not None and not _within(found, self.bounds):
            return f"a number of {self.bounds}"
        if self.count is not None and not (
            isinstance(found, (list, dict)) and self.count.holds(len(found))
        ):
            return f"a list of {self.count}"
        return None


def _equal(found: Any, wanted: Any, *, loose: bool) -> bool:
    if isinstance(found, bool) or isinstance(wanted, bool):
        return found is wanted or (loose and as_text(found) == wanted)
    if loose and isinstance(wanted, str) and isinstance(found, (int, float)):
        return as_text(found) == wanted
    return bool(found == wanted)


def _within(found: Any, bounds: Bounds) -> bool:
    if isinstance(found, str):
        try:
            found = float(found)
        except ValueError:
            return False
    return isinstance(found, (int, float)) and not isinstance(found, bool) and bounds.holds(found)


@dataclass(frozen=True, slots=True)
class CssRule:
    """How many elements a selector must find, and what the text of one of them must contain."""

    selector: Template
    count: Bounds = Bounds(1, None)
    text: Pattern | None = None

    def miss(self, page: Page, scope: Scope) -> str | None:
        """None when met, else what was expected and found."""
        selector = self.selector.render(scope)
        nodes = select(page, selector)
        if self.text is not None:
            texts = [" ".join(node.text(separator=" ").split()) for node in nodes]
            nodes = [
                node
                for node, text in zip(nodes, texts, strict=True)
                if self.text.matches(text, scope, within=True)
            ]
        if self.count.holds(len(nodes)):
            return None
        what = f" with text {self.text.describe(scope)!r}" if self.text else ""
        return f"{selector}{what}: expected {self.count} elements, found {len(nodes)}"


@dataclass(frozen=True, slots=True)
class HeaderRule:
    """What a header must, or must not, say.

    Attributes:
        required: whether it must be there at all.
        negated: no value of it may match.
    """

    name: str
    pattern: Pattern
    required: bool = True
    negated: bool = False

    def miss(self, page: Page, scope: Scope) -> str | None:
        """None when met, else what was expected and found."""
        values = page.response.header_values(self.name)
        hit = next((value for value in values if self.pattern.matches(value, scope)), None)
        if self.negated:
            if hit is None:
                return None
            return (
                f"{self.name}: must not match {self._wanted(scope)}, got {self._shown(hit, scope)}"
            )
        if hit is not None or (not values and not self.required):
            return None
        found = self._shown(values[0], scope) if values else "none"
        return f"{self.name}: expected {self._wanted(scope)}, got {found}"

    def _wanted(self, scope: Scope) -> str:
        return repr(self.pattern.describe(scope))

    def _shown(self, value: str, scope: Scope) -> str:
        return quoted(value, scope.mask)
