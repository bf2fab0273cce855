"""What does a parsed YAML file look like when every value knows where it stands?

A `Node` is a `Position` with a mapping (`entries`), a sequence (`elements`) or a scalar; an `Entry`
is a mapping's value and the position of its key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

__all__ = ["Entry", "Node", "Position", "Scalar", "join_path", "mapping_of"]

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file; lines and columns count from 1."""

    file: str
    line: int
    col: int


@dataclass(frozen=True, slots=True, eq=False)
class Node(Position):
    """A value of the file.

    `text` is a scalar's source text (without quotes). `reference` is the source text of a string
    that held `${…}` references, `fault` why it could not be resolved (empty: it could).
    `size` counts the nodes below and itself, each alias as often as it is used.
    """

    kind: Literal["mapping", "sequence", "scalar"]
    scalar: Scalar = None
    text: str = ""
    entries: Mapping[str, Entry] = field(default_factory=dict)
    elements: tuple[Node, ...] = ()
    reference: str = ""
    fault: str = ""
    size: int = 1

    @property
    def position(self) -> Position:
        """Where the value begins."""
        return Position(self.file, self.line, self.col)

    def get(self, key: str) -> Node | None:
        """The value under `key`, None when absent or not a mapping."""
        entry = self.entries.get(key)
        return entry.value if entry else None

    def key(self, key: str) -> Position:
        """Where `key` stands; this node's own place when it has no such key."""
        entry = self.entries.get(key)
        return entry.key if entry else self.position

    def at(self, *steps: str | int) -> Node | None:
        """The node that `steps` (keys and indexes) lead to."""
        node: Node | None = self
        for step in steps:
            if node is None:
                return None
            if isinstance(step, str):
                node = node.get(step)
            else:
                node = node.elements[step] if step < len(node.elements) else None
        return node

    def without(self, *keys: str) -> Node:
        """This mapping less some keys."""
        rest = {key: entry for key, entry in self.entries.items() if key not in keys}
        return replace(self, entries=rest)

    def only(self, *keys: str) -> Node:
        """This mapping reduced to some keys."""
        rest = {key: entry for key, entry in self.entries.items() if key in keys}
        return replace(self, entries=rest)

    def plain(self) -> Any:
        """The value as dict, list and scalars, positions forgotten."""
        if self.kind == "mapping":
            return {key: entry.value.plain() for key, entry in self.entries.items()}
        if self.kind == "sequence":
            return [element.plain() for element in self.elements]
        return self.scalar

    def scalars(self) -> Iterator[Node]:
        """Every scalar at or below this node, in file order."""
        if self.kind == "scalar":
            yield self
        for entry in self.entries.values():
            yield from entry.value.scalars()
        for element in self.elements:
            yield from element.scalars()


@dataclass(frozen=True, slots=True)
class Entry:
    """A mapping's value and where its key stands."""

    key: Position
    value: Node


def mapping_of(where: Position, entries: Mapping[str, Entry]) -> Node:
    """A mapping node made of `entries`."""
    size = 1 + sum(entry.value.size for entry in entries.values())
    return Node(where.file, where.line, where.col, "mapping", entries=entries, size=size)


def join_path(where: str, *steps: str | int) -> str:
    """`probes`, 2, `port` -> `probes[2].port`."""
    for step in steps:
        if isinstance(step, int):
            where = f"{where}[{step}]"
        else:
            where = f"{where}.{step}" if where else step
    return where
