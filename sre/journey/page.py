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

__all__ = ["NOT_JSON", "Page", "Query", "compile_query", "select"]

NOT_JSON = object()
_CHARSET = re.compile(r"charset=[\"']?([A-Za-z0-9_.:-]+)", re.IGNORECASE)


class Page:
    """One final answer of a step, with the address it came from and the run's cookies."""

    __slots__ = ("_html", "_json", "_text", "cookies", "response", "seconds", "url")

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

    @property
    def text(self) -> str:
        """The body as text, by the charset of Content-Type, else UTF-8; never an error."""
        if self._text is None:
            match = _CHARSET.search(self.response.header("content-type") or "")
            try:
                self._text = self.response.body.decode(match[1] if match else "utf-8", "replace")
            except LookupError:
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
        """The body as an HTML tree; anything parses, as in a browser."""
        if self._html is None:
            self._html = LexborHTMLParser(self.text)
        return self._html


def select(page: Page, selector: str) -> list[LexborNode]:
    """All elements of a page that match a CSS selector, in document order."""
    return page.html.css(selector)


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
