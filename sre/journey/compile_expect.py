"""What does a step's `expect`, `refused` or `until.expect` mean?"""

from __future__ import annotations

import re
from typing import Any, cast

from sre.core.config import Node, join_path
from sre.core.units import Duration, Size
from sre.journey.expect import Bounds, CssRule, Expectation, JsonRule, StatusRule
from sre.journey.template import Template
from sre.journey.texts import Texts

__all__ = ["check_selector", "expectation"]

_OPERATORS = frozenset({"min", "max", "exists", "count"})


def expectation(node: Node | None, path: str, texts: Texts) -> Expectation | None:
    """`expect`, `refused` or `until.expect`; None when absent."""
    if node is None or node.kind != "mapping":
        return None
    below, slow = node.get("below"), node.get("slow")
    return Expectation(
        status=_status(node.get("status"), join_path(path, "status"), texts),
        header=tuple(
            (name, texts.pattern(entry.value, join_path(path, "header", name)))
            for name, entry in _entries(node.get("header"))
        ),
        contains=_several(node.get("contains"), join_path(path, "contains"), texts.template),
        matches=_several(node.get("matches"), join_path(path, "matches"), texts.regex),
        json=tuple(
            _json_rule(name, entry.value, node, join_path(path, "json", name), texts)
            for name, entry in _entries(node.get("json"))
        ),
        css=_css_rules(node.get("css"), join_path(path, "css"), texts),
        size=_bounds(node.get("size"), join_path(path, "size"), texts, Size.parse),
        below=_seconds(below),
        slow=_seconds(slow),
    )


def _seconds(node: Node | None) -> float | None:
    return None if node is None or node.scalar is None else float(Duration.parse(node.scalar))


def _entries(node: Node | None) -> Any:
    return node.entries.items() if node is not None else ()


def _several(node: Node | None, path: str, parse: Any) -> tuple[Template, ...]:
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
