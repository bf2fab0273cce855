"""How does YAML 1.2 text become a tree of positions, and what is wrong with it if it cannot?

PyYAML's event parser (libyaml where built) reads the text; composing and the core schema are ours:
PyYAML's own resolver speaks YAML 1.1 (`on` is true, `1:30` is 90) and its composer recurses in C.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import yaml

from sre.core.errors import ConfigError, Problem
from sre.core.yamltree import Entry, Node, Position, Scalar, join_path

__all__ = ["MAX_ALIASED", "MAX_DEPTH", "compose", "scalar_of"]

MAX_DEPTH = 100
MAX_ALIASED = 100_000
_STANDARD = "tag:yaml.org,2002:"
_NULL = {"", "~", "null", "Null", "NULL"}
_TRUE = {"true", "True", "TRUE"}
_FALSE = {"false", "False", "FALSE"}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"([-+]?)\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_UNPRINTABLE = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_CURES: tuple[tuple[str, str], ...] = (
    ("mapping values are not allowed",
     "a ':' where none may stand; check the indentation, or put the text in quotes"),
    ("expected ',' or ']'", "a list in [ ] lacks a comma or its closing ]"),
    ("expected ',' or '}'", "a mapping in { } lacks a comma or its closing }"),
    ("could not find expected ':'", "a key without ':'; write 'key: value'"),
    ("find expected key", "the indentation does not fit the lines above; align it with them"),
    ("expected <block end>", "the indentation does not fit the lines above; align it with them"),
    ("expected '-' indicator", "the indentation does not fit the list above; align it with it"),
    ("end of stream", "a quote is not closed; close it"),
    ("undefined tag handle", "custom tags are not known here; remove the tag"),
    ("undefined alias", "no anchor has this name; define it with & before it is used"),
    ("document", "only one document may stand in the file; remove the '---' or '...' line"),
)  # fmt: skip


def compose(
    text: str, file: str, *, beside: list[Problem] | None = None, merges: bool = False
) -> Node | None:
    """The tree of `text`, None when it is empty. `file` is the name that positions carry.

    Args:
        beside: takes what is wrong but leaves a tree to go on with (a duplicate key), so that a
            caller can name it together with what else is wrong.
        merges: whether `<<` merges a mapping in, as files of other programs may have it.

    Raises:
        ConfigError: everything that is wrong with the text.
    """
    _check_characters(text, file)
    composer = _Composer(text, file, merges=merges)
    try:
        root = composer.document()
    except yaml.MarkedYAMLError as error:
        composer.problems.append(_translate(error, text, file))
        root = None
    except yaml.YAMLError as error:
        composer.problems.append(Problem(file, 1, 1, "", f"not valid YAML: {error}"))
        root = None
    finally:
        composer.close()
    if composer.problems:
        if beside is None or root is None:
            raise ConfigError(composer.problems)
        beside += composer.problems
    return root


def scalar_of(text: str) -> Scalar:
    """What an unquoted `text` means in the core schema. ValueError: a number too long to read."""
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _INT.fullmatch(text):
        return int(text, 0) if text[:2] in {"0o", "0x"} else int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if special := _SPECIAL.fullmatch(text):
        return float("nan" if special[1] is None else f"{special[1]}inf")
    return text


class _Composer:
    """Builds nodes from parser events; finds every problem that lies above the syntax."""

    def __init__(self, text: str, file: str, *, merges: bool = False) -> None:
        self._loader = _LOADER(text)
        self._file, self._merges = file, merges
        self._anchors: dict[str, Node | None] = {}
        self._aliased = 0
        self._path: list[str | int] = []
        self.problems: list[Problem] = []

    def document(self) -> Node | None:
        events: Callable[[], Any] = self._loader.get_event
        events()  # the stream's start
        start = events()
        if isinstance(start, yaml.StreamEndEvent):
            return None
        root = self._node(events(), 0)
        events()  # the document's end
        after = events()
        if not isinstance(after, yaml.StreamEndEvent):
            raise yaml.MarkedYAMLError(problem="another document", problem_mark=after.start_mark)
        if root.kind == "scalar" and root.scalar is None and not root.text:
            return None
        return root

    def close(self) -> None:
        self._loader.dispose()

    def _problem(self, mark: Any, message: str) -> None:
        path = join_path("", *self._path)
        self.problems.append(Problem(self._file, mark.line + 1, mark.column + 1, path, message))

    def _stop(self, mark: Any, message: str) -> ConfigError:
        self._problem(mark, message)
        return ConfigError(self.problems)

    def _node(self, event: Any, depth: int) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if depth > MAX_DEPTH:
            raise self._stop(event.start_mark, f"nested deeper than {MAX_DEPTH} levels; flatten it")
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            node = self._scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._sequence(event, depth)
        else:
            node = self._mapping(event, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _alias(self, event: Any) -> Node:
        if event.anchor not in self._anchors:
            raise yaml.MarkedYAMLError(problem="undefined alias", problem_mark=event.start_mark)
        node = self._anchors[event.anchor]
        if node is None:
            raise self._stop(
                event.start_mark, f"the alias *{event.anchor} stands inside itself; write it out"
            )
        self._aliased += node.size
        if self._aliased > MAX_ALIASED:
            raise self._stop(
                event.start_mark, f"aliases repeat more than {MAX_ALIASED} values; write them out"
            )
        return node

    def _scalar(self, event: Any) -> Node:
        mark = event.start_mark
        self._check_tag(event, {"str", "int", "float", "bool", "null"})
        value: Scalar = event.value
        plain = event.tag is None and event.implicit[0]
        if plain or event.tag not in {None, "!", f"{_STANDARD}str"}:
            try:
                value = scalar_of(event.value)
            except ValueError:
                self._problem(mark, "the number is too long; put it in quotes")
        return Node(
            self._file, mark.line + 1, mark.column + 1, "scalar", scalar=value, text=event.value
        )

    def _sequence(self, event: Any, depth: int) -> Node:
        self._check_tag(event, {"seq"})
        elements: list[Node] = []
        while not isinstance(item := self._loader.get_event(), yaml.SequenceEndEvent):
            elements.append(self._below(len(elements), item, depth))
        mark, size = event.start_mark, 1 + sum(element.size for element in elements)
        return Node(
            self._file, mark.line + 1, mark.column + 1, "sequence",
            elements=tuple(elements), size=size,
        )  # fmt: skip

    def _mapping(self, event: Any, depth: int) -> Node:
        self._check_tag(event, {"map"})
        entries: dict[str, Entry] = {}
        merged: list[Node] = []
        while not isinstance(item := self._loader.get_event(), yaml.MappingEndEvent):
            key = self._node(item, depth + 1)
            value = self._below(key.text, self._loader.get_event(), depth)
            if self._merges and _is_merge(item, key):
                found = value.elements or (value,)
                if any(one.kind != "mapping" for one in found):
                    self._problem(item.start_mark, "<< merges a mapping, or a list of them")
                merged += found
            elif self._key_is_good(item, key, entries):
                entries[key.text] = Entry(key.position, value)
        for each in merged:  # what the mapping says itself stays, then the first that says it
            entries = {**each.entries, **entries}
        mark, size = event.start_mark, 1 + sum(entry.value.size for entry in entries.values())
        return Node(
            self._file, mark.line + 1, mark.column + 1, "mapping", entries=entries, size=size
        )

    def _key_is_good(self, event: Any, key: Node, known: dict[str, Entry]) -> bool:
        mark = event.start_mark
        if key.kind != "scalar":
            self._problem(mark, f"a key must be text, not a {key.kind}; put it in quotes")
        elif key.scalar is None:
            self._problem(mark, "a key must be text, not null; put it in quotes")
        elif _is_merge(event, key):
            self._problem(mark, "merge keys (<<) are not part of YAML 1.2; write the keys out")
        elif key.text in known:
            first = known[key.text].key.line
            self._path.append(key.text)
            self._problem(
                mark, f"duplicate key {key.text!r}, first on line {first}; remove one of them"
            )
            self._path.pop()
        else:
            return True
        return False

    def _below(self, step: str | int, event: Any, depth: int) -> Node:
        self._path.append(step)
        node = self._node(event, depth + 1)
        self._path.pop()
        return node

    def _check_tag(self, event: Any, allowed: set[str]) -> None:
        tag = event.tag
        if tag not in {None, "!"} and tag.removeprefix(_STANDARD) not in allowed:
            shown = tag.replace(_STANDARD, "!!")
            self._problem(event.start_mark, f"the tag {shown} is not known here; remove it")


def _is_merge(event: Any, key: Node) -> bool:
    return key.text == "<<" and getattr(event, "style", "") in {None, ""}


def _check_characters(text: str, file: str) -> None:
    if bad := _UNPRINTABLE.search(text):
        where = _position(text, bad.start(), file)
        code = f"U+{ord(bad[0]):04X}"
        raise ConfigError(
            [Problem(where.file, where.line, where.col, "", f"control character {code}; remove it")]
        )


def _position(text: str, offset: int, file: str) -> Position:
    before = text[:offset]
    return Position(file, before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1)


def _translate(error: yaml.MarkedYAMLError, text: str, file: str) -> Problem:
    unclosed = "quoted scalar" in (error.context or "") and "end of stream" in (error.problem or "")
    mark = error.context_mark if unclosed else error.problem_mark or error.context_mark
    line, col = (mark.line, mark.column) if mark else (0, 0)
    said = error.problem or "not readable"
    return Problem(file, line + 1, col + 1, "", _cure(said, text, line, col))


def _cure(said: str, text: str, line: int, col: int) -> str:
    lines = text.splitlines() or [""]
    here = lines[line][col : col + 1] if line < len(lines) else ""
    if "cannot start any token" in said or "violates indentation" in said:
        if here == "\t":
            return "a tab where only spaces may stand; indent with spaces"
        return f"a value cannot begin with {here!r}; put it in quotes"
    for part, cure in _CURES:
        if part in said:
            return cure
    return f"not valid YAML: {said}"
