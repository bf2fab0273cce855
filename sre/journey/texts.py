"""How do the texts of a declaration become templates, each problem at its place in the file?"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sre.core.config import Entry, Node, Problems, join_path, secret_from_reference
from sre.core.secrets import Secret
from sre.core.units import Duration
from sre.journey.expect import Pattern, TemplateTree
from sre.journey.model import Condition, Field, LogNormal, Range
from sre.journey.page import compile_query
from sre.journey.template import Template, TemplateError, as_text

__all__ = ["Texts", "Use", "merge", "to_node"]

_PAUSE = "'2s', '1s..3s' or {median: 2s, p95: 8s}"
_LONGEST = 10
"""Nobody thinks longer than so many medians, unless `max` says so."""


@dataclass(frozen=True, slots=True)
class Use:
    """A template stands here and needs names."""

    node: Node
    path: str
    needs: frozenset[str]
    optional: frozenset[str]


@dataclass(slots=True)
class Texts:
    """Parses texts of one journey; remembers every use of a name, reports to `problems`."""

    problems: Problems
    folder: Path
    uses: list[Use] = field(default_factory=list)

    def template(self, node: Node, path: str, *, secret: bool = False) -> Template:
        """A scalar as a template; an empty one where it cannot be (a problem is noted)."""
        if node.kind != "scalar":
            self.problems.add(node, path, f"expected a text, not a {node.kind}")
            return Template.parse("")
        text = node.scalar if isinstance(node.scalar, str) else node.text
        try:
            parsed = Template.parse(text, reference=self._reference if secret else None)
        except (TemplateError, ValueError) as error:
            self.problems.add(node, path, str(error))
            return Template.parse("")
        if parsed.names or parsed.optional:
            self.uses.append(Use(node, path, parsed.names, parsed.optional))
        return parsed

    def _reference(self, text: str) -> Secret | None:
        return secret_from_reference(text, self.folder)

    def fields(self, node: Node | None, path: str) -> tuple[Field, ...]:
        """A mapping of names to texts, lists of texts, or `{secret: true, value: …}`."""
        if node is None:
            return ()
        return tuple(
            made
            for name, entry in node.entries.items()
            if (made := self._field(name, entry.value, join_path(path, name))) is not None
        )

    def _field(self, name: str, node: Node, path: str) -> Field | None:
        if node.kind == "scalar":
            if node.scalar is None and node.text in ("", "~", "null", "Null", "NULL"):
                return None
            return Field(name, (self.template(node, path),))
        if node.kind == "sequence":
            items = enumerate(node.elements)
            return Field(name, tuple(self.template(e, f"{path}[{i}]") for i, e in items))
        value = self.secret_value(node, path)
        return None if value is None else Field(name, (value,), secret=True)

    def secret_value(self, node: Node, path: str) -> Template | None:
        """`{secret: true, value: REFERENCE}`; a literal there is a problem."""
        flag, value = node.get("secret"), node.get("value")
        if value is None or set(node.entries) - {"secret", "value"}:
            self.problems.add(
                node, path, "expected a text, or {secret: true, value: '${env:NAME}'}"
            )
            return None
        if flag is not None and not isinstance(flag.scalar, bool):
            said = repr(flag.scalar) if flag.kind == "scalar" else f"a {flag.kind}"
            self.problems.add(
                flag, join_path(path, "secret"), f"expected true or false, not {said}"
            )
            return None
        if flag is None or flag.scalar is not True:
            return self.template(value, join_path(path, "value"))
        before = len(self.problems)
        template = self.template(value, join_path(path, "value"), secret=True)
        if template.constant and len(self.problems) == before:
            self.problems.add(
                value,
                join_path(path, "value"),
                "a secret must be a reference, not a literal; write '${env:NAME}', '${file:PATH}' "
                "or '${cmd:[PROGRAM, ARGUMENT]}'",
            )
        return template

    def tree(self, node: Node, path: str) -> TemplateTree:
        """Any JSON value with templates at its leaves."""
        return TemplateTree(self._leafs(node, path))

    def _leafs(self, node: Node, path: str) -> Any:
        if node.kind == "mapping":
            return {
                self._key(key, node, path): self._leafs(entry.value, join_path(path, key))
                for key, entry in node.entries.items()
            }
        if node.kind == "sequence":
            return [self._leafs(e, f"{path}[{i}]") for i, e in enumerate(node.elements)]
        if not isinstance(node.scalar, str):
            return node.scalar
        template = self.template(node, path)
        return template.text if template.constant and "${" not in node.scalar else template

    def _key(self, key: str, node: Node, path: str) -> Any:
        if "${" not in key:
            return key
        at = node.key(key)
        scalar = Node(at.file, at.line, at.col, "scalar", scalar=key, text=key)
        return self.template(scalar, path)

    def pattern(self, node: Node, path: str) -> Pattern:
        """A text, or a regular expression after `~`."""
        text = node.scalar if isinstance(node.scalar, str) else node.text
        if node.kind == "scalar" and text.startswith("~"):
            rest = replace(node, scalar=text[1:], text=text[1:])
            return Pattern(self.regex(rest, path), regex=True)
        return Pattern(self.template(node, path), regex=False)

    def regex(self, node: Node, path: str) -> Template:
        """A template whose text, references aside, is a regular expression."""
        template = self.template(node, path)
        probe = "".join(part if isinstance(part, str) else "x" for part in template.parts)
        self.check_regex(probe, node, path)
        return template

    def check_regex(self, text: str, node: Node, path: str) -> re.Pattern[str] | None:
        """Compile, or note what is wrong with it."""
        try:
            return re.compile(text, re.DOTALL)
        except re.error as error:
            self.problems.add(node, path, f"not a regular expression: {error}")
            return None

    def check_query(self, text: str, node: Node, path: str) -> None:
        """Note what is wrong with a JMESPath expression."""
        try:
            compile_query(text)
        except ValueError as error:
            self.problems.add(node, path, str(error))

    def conditions(self, node: Node | None, path: str) -> tuple[Condition, ...]:
        """`when`/`unless`: a name, `"${x} == y"`, or a list of these (all must hold)."""
        if node is None:
            return ()
        if node.kind == "sequence":
            items = enumerate(node.elements)
            return tuple(c for i, e in items for c in self.conditions(e, f"{path}[{i}]"))
        text = str(node.scalar)
        if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text):
            self.uses.append(Use(node, path, frozenset(), frozenset({text})))
            return (Condition(name=text),)
        left, operator, right = text.partition(" != " if " != " in text else " == ")
        if not operator or "${" not in text:
            self.problems.add(
                node, path, f"{text!r} is no condition; write a variable's name or '${{x}} == y'"
            )
            return ()
        sides = [replace(node, scalar=side.strip(), text=side.strip()) for side in (left, right)]
        before = len(self.uses)
        parsed = [self.template(side, path) for side in sides]
        asked = self.uses[before:]
        self.uses[before:] = [Use(u.node, u.path, frozenset(), u.needs | u.optional) for u in asked]
        negated = operator.strip() == "!="
        return (Condition(left=parsed[0], right=parsed[1], negated=negated),)

    def range(self, node: Node | None, path: str, parse: Any, what: str) -> Range | None:
        """`3`, `3..7`; `parse` turns each end into a number or raises ValueError."""
        if node is None or (node.kind == "scalar" and node.scalar is None):
            return None
        if node.kind != "scalar":
            self.problems.add(node, path, f"expected {what}, not a {node.kind}")
            return None
        text = node.scalar if isinstance(node.scalar, str) else as_text(node.scalar)
        try:
            low, dots, high = text.partition("..")
            ends = Range(float(parse(low)), float(parse(high if dots else low)))
        except ValueError:
            self.problems.add(node, path, f"expected {what}, not {text!r}")
            return None
        if ends.low > ends.high or ends.high <= 0:
            self.problems.add(node, path, f"expected {what}, the lower number first, not {text!r}")
            return None
        return ends

    def pause(self, node: Node | None, path: str) -> Range | LogNormal | None:
        """`2s`, `1s..3s` or `{median: 2s, p95: 8s}`."""
        if node is None or node.kind != "mapping":
            return self.range(node, path, Duration.parse, _PAUSE)
        found = {key: self._seconds(node, key, path) for key in node.entries}
        if set(node.entries) - {"median", "p95", "max"} or not {"median", "p95"} <= set(found):
            self.problems.add(node, path, f"expected {_PAUSE}")
            return None
        median, p95 = found["median"], found["p95"]
        if median is None or p95 is None or ("max" in found and found["max"] is None):
            return None
        high = found.get("max") or max(_LONGEST * median, p95)
        if not 0 < median < p95 <= high:
            self.problems.add(node, path, "expected 0s < median < p95 <= max")
            return None
        return LogNormal(median, p95, high)

    def _seconds(self, node: Node, key: str, path: str) -> float | None:
        value = node.entries[key].value
        try:
            return float(Duration.parse(value.scalar))
        except ValueError as error:
            self.problems.add(value, f"{path}.{key}", str(error))
            return None


def merge(node: Node, defaults: Node | None, depth: int = 3) -> Node:
    """`node` with what only `defaults` has; mappings are merged `depth` levels deep.

    A `null` in `node` takes a default away, also one expectation of `json`, `css` or `header`.
    """
    if defaults is None or node.kind != "mapping" or defaults.kind != "mapping":
        return node
    entries: dict[str, Entry] = {}  # defaults first: a GraphQL error says more than what lacks
    for key, entry in defaults.entries.items():
        own = node.entries.get(key)
        if own is None:
            entries[key] = entry
        elif depth > 1 and own.value.kind == "mapping":
            entries[key] = Entry(own.key, merge(own.value, entry.value, depth - 1))
        elif depth > 1 or not _is_null(own.value):
            entries[key] = own
    entries |= {key: own for key, own in node.entries.items() if key not in defaults.entries}
    return replace(node, entries=entries)


def _is_null(node: Node) -> bool:
    return node.kind == "scalar" and node.scalar is None


def to_node(value: Any) -> Node:
    """Plain Python data as a Node without a place, for declarations that come from code."""
    if isinstance(value, dict):
        entries = {str(k): Entry(to_node(None), to_node(v)) for k, v in value.items()}
        return Node("", 0, 0, "mapping", entries=entries)
    if isinstance(value, (list, tuple)):
        return Node("", 0, 0, "sequence", elements=tuple(to_node(v) for v in value))
    text = "" if value is None else as_text(value)
    return Node("", 0, 0, "scalar", scalar=value, text=text)
