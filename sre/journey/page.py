"""What does an answer say when it is read as text, as JSON, or as HTML? Parsed once, when asked."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import jmespath
import orjson
from jmespath.exceptions import JMESPathError
from selectolax.lexbor import LexborHTMLParser, LexborNode

from sre.journey.exchange import Response

__all__ = ["NOT_JSON", "Page", "Query", "Unusable", "compile_query", "select"]

NOT_JSON = object()
_MAX_DEPTH = 4096
_MANY_TAGS = 20_000
_NESTING = re.compile(
    r"<(/?)(?!(?:area|base|br|col|dd|dt|hr|img|input|li|link|meta|option|p|source|td|th|tr|wbr)\b)"
    r"[a-z][^\s>]*",
    re.IGNORECASE,
)
_META = re.compile(rb"<meta\s[^>]*charset=[^>]*>", re.IGNORECASE)
_NO_CHARSET = re.compile(r"idna|punycode|undefined|.*unicode.escape|mbcs|oem", re.IGNORECASE)
_CHARSET = re.compile(r"charset=[\"']?([A-Za-z0-9_.:-]+)", re.IGNORECASE)


class Unusable(ValueError):
    """The answer, or a value put into an expectation, is such that it cannot be asked."""


class Page:
    """One final answer of a step, with the address it came from and the run's cookies."""

    __slots__ = ("_html", "_json", "_text", "cookies", "found", "response", "seconds", "url")

    def __init__(
        self, response: Response, url: str, cookies: dict[str, str], seconds: float
    ) -> None:
        self.response = response
        self.url = url
        self.cookies = cookies
        self.seconds = seconds
        self._text: str | None = None
        self._json: Any = None
        self._html: LexborHTMLParser | None = None
        self.found: dict[str, list[LexborNode]] = {}

    @property
    def text(self) -> str:
        """The body as text, by the charset of Content-Type, else of <meta>, else UTF-8."""
        if self._text is None:
            kind = self.response.header("content-type") or "text/html"
            charset = _charset_in(kind)
            if not charset and "html" in kind and (meta := _META.search(self.response.body[:1024])):
                charset = _charset_in(meta[0].decode("ascii", "replace"))
            charset = charset or "utf-8"
            try:
                self._text = self.response.body.decode(charset, "replace")
            except (LookupError, ValueError):
                self._text = self.response.body.decode("utf-8", "replace")
        return self._text

    @property
    def json(self) -> Any:
        """The body as JSON, or NOT_JSON."""
        if self._json is None:
            try:
                self._json = (orjson.loads(self.response.body),)
            except orjson.JSONDecodeError:
                self._json = (NOT_JSON,)
        return self._json[0]

    @property
    def html(self) -> LexborHTMLParser:
        """The body as an HTML tree; anything parses, as in a browser.

        Raises:
            Unusable: elements nested so deep that parsing would take for ever.
        """
        if self._html is None:
            if _depth(self.text) > _MAX_DEPTH:
                raise Unusable(f"the page nests elements more than {_MAX_DEPTH} deep")
            self._html = LexborHTMLParser(self.text)
        return self._html


@lru_cache(maxsize=256)
def _charset_in(text: str) -> str:
    """Empty: it names none; one that is no charset of pages is UTF-8."""
    match = _CHARSET.search(text)
    if match is None:
        return ""
    return "utf-8" if _NO_CHARSET.fullmatch(match[1]) else match[1]


def select(page: Page, selector: str) -> list[LexborNode]:
    """All elements of a page that match a CSS selector, in document order.

    Raises:
        Unusable: not a selector, or the page cannot be parsed.
    """
    found = page.found
    if selector not in found:
        tree = page.html
        try:
            found[selector] = tree.css(selector)
        except Exception as error:  # the library exports no type of its own
            raise Unusable(f"not a CSS selector: {selector!r}") from error
    return found[selector]


def _depth(text: str) -> int:
    """How deep elements nest, roughly and cheaply; 0 where there are too few to matter.

    The parser's time grows with the square of it: ten megabytes of `<div>` would take hours.
    """
    if len(text) < _MANY_TAGS or text.count("<") < _MANY_TAGS:
        return 0
    depth = deepest = 0
    for tag in _NESTING.finditer(text):
        depth += -1 if tag[1] else 1
        deepest = max(deepest, depth)
    return deepest


class Query:
    """A JMESPath expression; plain paths (`data.items[0].id`) are walked without the library."""

    __slots__ = ("_compiled", "_path", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._compiled = jmespath.compile(text)
        self._path = _plain_path(self._compiled.parsed)

    def search(self, data: Any) -> Any:
        """The value, or None. Raises ValueError when the expression does not fit the data."""
        if self._path is None:
            try:
                return self._compiled.search(data)
            except (JMESPathError, TypeError) as error:
                raise ValueError(str(error)) from error
        for key in self._path:
            if isinstance(key, str):
                if not isinstance(data, dict):
                    return None
                data = data.get(key)
            else:
                if not isinstance(data, list) or not -len(data) <= key < len(data):
                    return None
                data = data[key]
        return data

    def __reduce__(self) -> tuple[Any, ...]:
        return (compile_query, (self.text,))


@lru_cache(maxsize=1024)
def compile_query(text: str) -> Query:
    """Compile a JMESPath expression once. Raises ValueError when it is not one."""
    try:
        return Query(text)
    except JMESPathError as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"not a JMESPath expression: {text!r} ({reason})") from error


def _plain_path(node: Any) -> list[str | int] | None:
    kind, children = node["type"], node["children"]
    if kind == "field":
        return [node["value"]]
    if kind == "index":
        return [node["value"]]
    if kind in ("subexpression", "index_expression"):
        path: list[str | int] = []
        for child in children:
            steps = _plain_path(child)
            if steps is None:
                return None
            path += steps
        return path
    return None
