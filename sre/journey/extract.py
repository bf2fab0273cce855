"""Which value does a step take from its answer, and which one when there are several?"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

from sre.journey.page import NOT_JSON, Page, compile_query, select

__all__ = ["Extractor", "NotFound", "pick"]

Pick = Literal["first", "last", "random", "all"]
_ENDS = {"first": 0, "last": -1}


class NotFound(LookupError):
    """A required value is not in the answer. The message says what was looked for, and where."""


@dataclass(frozen=True, slots=True)
class Extractor:
    """Takes one variable from an answer.

    Exactly one of `css`, `json`, `regex`, `header`, `cookie`, `url` says where to look; `css` may
    be joined by `json` or `regex`, which then look inside the element's text (a value that stands
    in JSON inside a page's script).

    Attributes:
        name: the variable.
        attr: with `css`: the attribute to take; the element's text otherwise.
        pick: which of several; `random` follows the run's seed; `all` gives a list.
        distinct: each value once, and never one that this run has picked before while others are
            left.
        required: without a value the step fails with reason `extract`.
        secret: masked by value everywhere; always so for headers and cookies.
        masked: its value never leaves the process in a text.
    """

    name: str
    css: str | None = None
    attr: str | None = None
    json: str | None = None
    regex: re.Pattern[str] | None = None
    header: str | None = None
    cookie: str | None = None
    url: re.Pattern[str] | None = None
    pick: Pick = "first"
    distinct: bool = False
    required: bool = True
    secret: bool = False
    masked: bool = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        masked = self.secret or self.header is not None or self.cookie is not None
        object.__setattr__(self, "masked", masked)

    def candidates(self, page: Page) -> list[Any]:
        """All values that match, in order; empty when there are none."""
        if self.css is not None:
            texts = self._elements(page)
            if self.json is None and self.regex is None:
                return texts
            return [value for text in texts for value in self._inside(text)]
        if self.json is not None:
            return _json_values(page.json, self.json)
        if self.header is not None:
            return list(page.response.header_values(self.header))
        if self.cookie is not None:
            found = page.cookies.get(self.cookie)
            return [] if found is None else [found]
        if self.url is not None:
            return _groups(self.url, page.url)
        return _groups(self.regex, page.text) if self.regex is not None else []

    def describe(self) -> str:
        """For messages: what is looked for."""
        for source in ("css", "json", "header", "cookie"):
            if getattr(self, source) is not None:
                return f"{source} {getattr(self, source)!r}"
        pattern = self.regex or self.url
        return f"{'regex' if self.regex else 'url'} {pattern.pattern if pattern else ''!r}"

    def _elements(self, page: Page) -> list[Any]:
        nodes = select(page, self.css or "")
        if self.attr is None:
            return [node.text(strip=self.json is None and self.regex is None) for node in nodes]
        found = [node.attributes for node in nodes]
        return [has[self.attr] or "" for has in found if self.attr in has]

    def _inside(self, text: str) -> list[Any]:
        if self.regex is not None:
            return _groups(self.regex, text)
        return _json_values(_loads(text), self.json or "")


def pick(extractor: Extractor, page: Page, rng: Random, used: set[Any]) -> Any:
    """The extractor's value of this page; None when there is none and none is required.

    Args:
        used: values that this run has picked with this extractor; grows.

    Raises:
        NotFound: nothing matches and the value is required.
    """
    found = extractor.candidates(page)
    if not found:
        if not extractor.required:
            return None
        raise NotFound(f"{extractor.name}: nothing matches {extractor.describe()}")
    if extractor.distinct:
        found = _distinct(found, used)
    if extractor.pick == "all":
        return found
    index = _ENDS.get(extractor.pick)
    value = found[rng.randrange(len(found)) if index is None else index]
    used.add(repr(value))
    return value


def _distinct(found: list[Any], used: set[Any]) -> list[Any]:
    once = list({repr(value): value for value in found}.values())
    return [value for value in once if repr(value) not in used] or once


def _loads(text: str) -> Any:
    import orjson  # noqa: PLC0415  only for JSON inside a page

    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return NOT_JSON


def _json_values(data: Any, query: str) -> list[Any]:
    if data is NOT_JSON:
        return []
    try:
        found = compile_query(query).search(data)
    except ValueError:
        return []
    if isinstance(found, list):
        return [value for value in found if value is not None]
    return [] if found is None else [found]


def _groups(pattern: re.Pattern[str], text: str) -> list[str]:
    whole = 1 if pattern.groups else 0
    return [match[whole] for match in pattern.finditer(text) if match[whole] is not None]
