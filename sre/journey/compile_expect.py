"""What does a step's `expect`, `refused` or `until.expect` mean?"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar, cast

from sre.core.config import Node, join_path
from sre.core.units import Duration, Size
from sre.journey.expect import (
    Bounds,
    CssRule,
    Expectation,
    HeaderRule,
    JsonRule,
    StatusRule,
)
from sre.journey.texts import Texts

__all__ = ["check_selector", "expectation"]

T = TypeVar("T")

_OPERATORS = frozenset({"min", "max", "exists", "count"})


def expectation(node: Node | None, path: str, texts: Texts) -> Expectation | None:
    """`expect`, `refused` or `until.expect`; None when absent."""
    if node is None or node.kind != "mapping":
        return None
    below, slow = node.get("below"), node.get("slow")
    return Expectation(
        status=_status(node.get("status"), join_path(path, "status"), texts),
        header=(
            *_header_rules(node.get("header"), join_path(path, "header"), texts),
            *_header_rules(node.get("not_header"), join_path(path, "not_header"), texts, no=True),
        ),
        contains=_several(node.get("contains"), join_path(path, "contains"), texts.template),
        not_contains=_several(
            node.get("not_contains"), join_path(path, "not_contains"), texts.template
        ),
        matches=_several(node.get("matches"), join_path(path, "matches"), texts.regex),
        not_matches=_several(node.get("not_matches"), join_path(path, "not_matches"), texts.regex),
        json=tuple(
            _json_rule(name, entry.value, node, join_path(path, "json", name), texts)
            for name, entry in _entries(node.get("json"))
        ),
        css=_css_rules(node.get("css"), join_path(path, "css"), texts),
        size=_bounds(node.get("size"), join_path(path, "size"), texts, Size.parse),
        below=_seconds(below),
        slow=_seconds(slow),
    )


def _header_rules(
    node: Node | None, path: str, texts: Texts, *, no: bool = False
) -> list[HeaderRule]:
    """A text or several for each name; `{value: TEXT, required: false}` for one that may lack."""
    rules: list[HeaderRule] = []
    for name, entry in _entries(node):
        value, where, required = entry.value, join_path(path, name), True
        if value.kind == "mapping":
            flag = value.get("required")
            if set(value.entries) - {"value", "required"} or value.get("value") is None:
                texts.problems.add(value, where, "expected a text, or {value: TEXT, required: …}")
                continue
            if flag is not None and not isinstance(flag.scalar, bool):
                texts.problems.add(flag, join_path(where, "required"), "expected true or false")
            required = flag is None or flag.scalar is not False
            value = cast("Node", value.get("value"))
        patterns = _several(value, where, texts.pattern)
        rules += [HeaderRule(name, one, required and not no, no) for one in patterns]
    return rules


def _seconds(node: Node | None) -> float | None:
    return None if node is None or node.scalar is None else float(Duration.parse(node.scalar))


def _entries(node: Node | None) -> Any:
    return node.entries.items() if node is not None else ()


def _several(node: Node | None, path: str, parse: Callable[[Node, str], T]) -> tuple[T, ...]:
    if node is None or (node.kind == "scalar" and node.scalar is None):
        return ()
    if node.kind == "sequence":
        return tuple(parse(e, f"{path}[{i}]") for i, e in enumerate(node.elements))
    return (parse(node, path),)


def _status(node: Node | None, path: str, texts: Texts) -> StatusRule | None:
    if node is None or (node.kind == "scalar" and node.scalar is None):
        return None
    items = node.elements if node.kind == "sequence" else (node,)
    ranges: list[tuple[int, int]] = []
    for item in items:
        number = isinstance(item.scalar, int) and not isinstance(item.scalar, bool)
        text = str(item.scalar) if number else item.text or str(item.scalar)
        match = re.fullmatch(r"(\d{3})(?:\.\.(\d{3}))?", text)
        if match and 100 <= int(match[1]) <= int(match[2] or match[1]) <= 599:
            ranges.append((int(match[1]), int(match[2] or match[1])))
        else:
            texts.problems.add(
                item, path, f"expected a status such as 200 or '200..299', not {item.text!r}"
            )
    return StatusRule(tuple(ranges))


def _bounds(node: Node | None, path: str, texts: Texts, parse: Any = float) -> Bounds | None:
    if node is None or (node.kind == "scalar" and node.scalar is None):
        return None
    numbers = _ends(node, parse)
    if numbers is None:
        texts.problems.add(node, path, "expected a number, or {min: …, max: …}")
        return None
    return Bounds(*numbers)


def _ends(node: Node, parse: Any) -> tuple[float | None, float | None] | None:
    low, high = (node, node) if node.kind == "scalar" else (node.get("min"), node.get("max"))
    if set(node.entries) - {"min", "max"} or (low is None and high is None):
        return None
    if any(end is not None and isinstance(end.scalar, bool) for end in (low, high)):
        return None
    try:
        return (
            float(parse(low.scalar)) if low else None,
            float(parse(high.scalar)) if high else None,
        )
    except (ValueError, TypeError):
        return None


def _json_rule(name: str, value: Node, node: Node, path: str, texts: Texts) -> JsonRule:
    at = (node.get("json") or node).key(name)
    key = texts.template(Node(at.file, at.line, at.col, "scalar", scalar=name, text=name), path)
    if key.constant:
        texts.check_query(key.text, cast("Node", at), path)
    if value.kind == "mapping" and value.entries and set(value.entries) <= _OPERATORS:
        exists = value.get("exists")
        if exists is not None and not isinstance(exists.scalar, bool):
            where = join_path(path, "exists")
            texts.problems.add(exists, where, f"expected true or false, not {exists.text!r}")
        bounded = value.only("min", "max")
        return JsonRule(
            key,
            bounds=_bounds(bounded, path, texts) if bounded.entries else None,
            exists=bool(exists.scalar) if exists is not None else None,
            count=_bounds(value.get("count"), join_path(path, "count"), texts),
        )
    if value.kind == "scalar" and isinstance(value.scalar, str) and value.scalar.startswith("~"):
        return JsonRule(key, pattern=texts.pattern(value, path))
    return JsonRule(key, equals=texts.tree(value, path))


def _css_rules(node: Node | None, path: str, texts: Texts) -> tuple[CssRule, ...]:
    if node is None:
        return ()
    if node.kind == "scalar":
        return (CssRule(texts.template(node, path)),) if node.scalar is not None else ()
    return tuple(
        _css_rule(name, entry.value, node, join_path(path, name), texts)
        for name, entry in node.entries.items()
    )


def _css_rule(name: str, value: Node, node: Node, path: str, texts: Texts) -> CssRule:
    at = node.key(name)
    selector = texts.template(
        Node(at.file, at.line, at.col, "scalar", scalar=name, text=name), path
    )
    if selector.constant:
        check_selector(selector.text, cast("Node", at), path, texts)
    if value.kind == "scalar":
        if isinstance(value.scalar, int) and not isinstance(value.scalar, bool):
            return CssRule(selector, Bounds(value.scalar, value.scalar))
        if value.scalar is None or value.scalar is True:
            return CssRule(selector)
        return CssRule(selector, text=texts.pattern(value, path))
    if value.kind != "mapping" or set(value.entries) - {"count", "text"}:
        texts.problems.add(value, path, "expected {count: N or {min, max}, text: TEXT}")
        return CssRule(selector)
    text = value.get("text")
    count = _bounds(value.get("count"), join_path(path, "count"), texts)
    return CssRule(
        selector,
        count or Bounds(1, None),
        texts.pattern(text, join_path(path, "text")) if text else None,
    )


def check_selector(text: str, node: Node, path: str, texts: Texts) -> None:
    from selectolax.lexbor import LexborHTMLParser  # noqa: PLC0415  only to try a selector

    try:
        LexborHTMLParser("<p></p>").css(text)
    except Exception:  # noqa: BLE001  the library raises several types
        texts.problems.add(node, path, f"not a CSS selector: {text!r}")
