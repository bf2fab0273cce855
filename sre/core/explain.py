"""What did pydantic dislike, said in our words and at the exact place in the file?"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sre.core.references import secret_from_reference
from sre.core.secrets import Secret
from sre.core.yamltree import Node, Position, join_path

__all__ = ["Reference", "explain", "to_data", "unused_faults"]

Explained = tuple[Position, str, str]

_NO_LITERAL = (
    "a secret may not stand in the file; write exactly one reference: "
    "'${env:NAME}', '${file:PATH}' or '${cmd:[PROGRAM, ARGUMENT]}'"
)


class Reference(str):
    """A string that came from `${…}`; a secret field takes the reference instead of the text."""

    __slots__ = ("node", "taken")
    node: Node
    taken: bool

    @classmethod
    def of(cls, node: Node) -> Reference:
        """The resolved text of a scalar that held references."""
        made = cls(node.scalar)
        made.node, made.taken = node, False
        return made

    @staticmethod
    def as_secret(value: object) -> Secret:
        """Raises ValueError unless `value` is exactly one reference (or a Secret already)."""
        if isinstance(value, Secret):
            return value
        if not isinstance(value, Reference):
            raise ValueError(_NO_LITERAL)  # noqa: TRY004  pydantic collects ValueErrors
        value.taken = True
        secret = secret_from_reference(value.node.reference, Path(value.node.file).parent)
        if secret is None:
            raise ValueError(_NO_LITERAL)
        return secret

    def __repr__(self) -> str:
        return repr(self.node.reference)


class _Mapping(dict[str, Any]):
    """A mapping that learns which keys its dataclass knows."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.known_keys: dict[str, None] = {}


def to_data(node: Node) -> Any:
    """The plain values that pydantic checks."""
    if node.kind == "mapping":
        return _Mapping({key: to_data(entry.value) for key, entry in node.entries.items()})
    if node.kind == "sequence":
        return [to_data(element) for element in node.elements]
    return Reference.of(node) if node.reference else node.scalar


def unused_faults(data: Any, node: Node, where: str) -> Iterator[Explained]:
    """References that could not be resolved and that no secret field took."""
    if isinstance(data, Reference):
        if node.fault and not data.taken:
            yield node.position, where, node.fault
    elif isinstance(data, dict):
        for key, entry in node.entries.items():
            yield from unused_faults(data[key], entry.value, join_path(where, key))
    elif isinstance(data, list):
        for index, element in enumerate(node.elements):
            yield from unused_faults(data[index], element, join_path(where, index))


def explain(
    errors: Sequence[Mapping[str, Any]], data: Any, root: Node, *, where: str, also: Sequence[str]
) -> list[Explained]:
    """Position, path and message of each error, the branches of a union told as one."""
    told = [_Told.of(error, data, root, also) for error in errors]
    return [
        (each.at, join_path(where, *each.steps), each.message)
        for each in _merged(_closest(told))
        if not each.hidden
    ]


@dataclass(frozen=True)
class _Told:
    at: Position
    node: Node
    steps: tuple[str | int, ...]
    message: str
    expected: str = ""
    union: tuple[str | int, ...] | None = None
    hidden: bool = False

    @classmethod
    def of(cls, error: Mapping[str, Any], data: Any, root: Node, also: Sequence[str]) -> _Told:
        kind, loc = error["type"], error["loc"]
        if kind in {"missing", "missing_argument"}:
            node, _, steps, union = _follow(loc[:-1], data, root)
            message = f"required key {str(loc[-1])!r} is missing; add it"
            return cls(node, node, steps, message, union=union)
        if kind in {"unexpected_keyword_argument", "extra_forbidden"}:
            node, here, steps, union = _follow(loc[:-1], data, root)
            key = str(loc[-1])
            message = _unknown_key(key, [*getattr(here, "known_keys", ()), *also])
            return cls(node.key(key), node, (*steps, key), message, union=union)
        node, here, steps, union = _follow(loc, data, root)
        hidden = any(unused_faults(here, node, ""))  # told as the reference that it follows from
        expected = _expected(error)
        message = f"expected {expected}, not {_shown(node)}" if expected else _said(error, node)
        if not expected and (ours := re.fullmatch(r"expected (.+), not [^,]+", message)):
            return cls(node, node, steps, message, ours[1], union, hidden)
        message += _cure(expected, node)
        if not expected and (key := _named_key(message, here, node)):
            return cls(node.entries[key].value, node, (*steps, key), message, "", union, hidden)
        return cls(node, node, steps, message, expected, union, hidden)


def _follow(
    loc: Sequence[str | int], data: Any, node: Node
) -> tuple[Node, Any, tuple[str | int, ...], tuple[str | int, ...] | None]:
    """Where `loc` leads. Steps that are no key or index there name a branch of a union."""
    steps: list[str | int] = []
    union: tuple[str | int, ...] | None = None
    for step in loc:
        below = node.at(step)
        if below is None:
            union = tuple(steps) if union is None else union
            continue
        node, data = below, data[step]
        steps.append(step)
    return node, data, tuple(steps), union


def _closest(told: Sequence[_Told]) -> list[_Told]:
    """Of a union's branches, those that got furthest into the value, the right shape first."""
    deepest: dict[tuple[str | int, ...], int] = {}
    for each in told:
        if each.union is not None:
            depth = len(each.steps)
            deepest[each.union] = max(depth, deepest.get(each.union, 0))
    fitting = {each.union for each in told if each.union is not None and not each.expected}
    return [
        each
        for each in told
        if each.union is None
        or (
            len(each.steps) >= deepest[each.union] and not (each.expected and each.union in fitting)
        )
    ]


def _merged(told: Sequence[_Told]) -> Iterator[_Told]:
    """Several expectations of one value as a single sentence."""
    groups: dict[tuple[str | int, ...], list[_Told]] = {}
    for each in told:
        if each.union is not None and each.expected:
            groups.setdefault(each.steps, []).append(each)
        else:
            yield each
    for group in groups.values():
        first = group[0]
        wanted = list(dict.fromkeys(each.expected for each in group))
        joined = " or ".join([", ".join(wanted[:-1]), wanted[-1]] if wanted[1:] else wanted)
        message = f"expected {joined}, not {_shown(first.node)}"
        yield _Told(first.at, first.node, first.steps, message, hidden=first.hidden)


_TYPES: tuple[tuple[str, str], ...] = (
    ("int", "a whole number"), ("float", "a number"), ("finite", "a number"),
    ("bool", "true or false"), ("string_type", "text"), ("list", "a list"),
    ("tuple_type", "a list"),
    ("set_type", "a list"), ("frozen_set", "a list"), ("dict", "a mapping"),
    ("mapping", "a mapping"), ("dataclass", "a mapping"), ("none", "nothing"),
)  # fmt: skip
_LIMITS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "greater_than": lambda ctx: f"more than {ctx['gt']}",
    "greater_than_equal": lambda ctx: f"at least {ctx['ge']}",
    "less_than": lambda ctx: f"less than {ctx['lt']}",
    "less_than_equal": lambda ctx: f"at most {ctx['le']}",
    "string_pattern_mismatch": lambda ctx: f"text like {ctx['pattern']}",
    "literal_error": lambda ctx: _one_of(ctx["expected"]),
    "enum": lambda ctx: _one_of(ctx["expected"]),
}


def _expected(error: Mapping[str, Any]) -> str:
    kind = error["type"]
    if kind in _LIMITS:
        return _LIMITS[kind](error["ctx"])
    if kind == "too_short":
        return f"at least {error['ctx']['min_length']} entries"
    if kind == "string_too_short":
        return f"at least {error['ctx']['min_length']} characters"
    return next((words for start, words in _TYPES if kind.startswith(start)), "")


def _one_of(expected: str) -> str:
    """`'a', 'b' or 'c'` -> `one of a, b, c`."""
    names = re.findall(r"'((?:[^'\\]|\\.)*)'|(-?\d+)", expected)
    return "one of " + ", ".join(text or number for text, number in names)


def _said(error: Mapping[str, Any], node: Node) -> str:
    """The message of a ValueError of ours, with references instead of what they stand for."""
    cause = (error.get("ctx") or {}).get("error")
    message = str(cause) if cause is not None else str(error["msg"])
    for scalar in node.scalars():
        value = str(scalar.scalar)
        if scalar.reference and not scalar.fault and value:
            message = message.replace(repr(value), repr(scalar.reference))
            message = message.replace(value, scalar.reference) if len(value) > 2 else message
    return message


def _named_key(message: str, here: Any, node: Node) -> str:
    """The key that a dataclass's own complaint is about: `port must be 1 to 65535`."""
    match = re.match(r"`?([A-Za-z_]\w*)", message)
    key = match[1] if match else ""
    return key if key in getattr(here, "known_keys", ()) and key in node.entries else ""


def _shown(node: Node) -> str:
    if node.kind != "scalar":
        return "a mapping" if node.kind == "mapping" else "a list"
    if node.reference:
        return repr(node.reference)
    if node.scalar is None:
        return "nothing"
    return repr(node.scalar) if isinstance(node.scalar, str) else node.text


def _cure(expected: str, node: Node) -> str:
    if expected and node.kind == "scalar" and node.scalar is None:
        return "; give it a value or remove the key"
    if expected == "text" and node.kind == "scalar":
        return "; put it in quotes"
    return ""


def _unknown_key(key: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    if close:
        return f"unknown key {key!r}; did you mean {close[0]!r}?"
    return f"unknown key {key!r}; known keys: {', '.join(sorted(set(known)))}"
