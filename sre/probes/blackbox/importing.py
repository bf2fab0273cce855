"""How does a blackbox.yml read as the section `modules:` of sre.yaml, without its secrets?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sre.core.config import Node, Problems, read_tree
from sre.core.errors import Problem
from sre.probes.blackbox.declare import externalised, modules_of, normal, unsupported
from sre.probes.blackbox.show import as_yaml

__all__ = ["Imported", "imported"]


@dataclass(frozen=True)
class Imported:
    """The section, and what its user has to know.

    Attributes:
        modules: the section as data.
        variables: environment variable -> where its value stands now.
        notes: what is not supported, `file:line:col …`.
    """

    modules: Mapping[str, Any]
    variables: Mapping[str, str]
    notes: tuple[str, ...]

    @property
    def text(self) -> str:
        """The section as YAML."""
        return as_yaml({"modules": self.modules}).rstrip("\n")


def imported(path: Path) -> Imported:
    """Read a blackbox.yml.

    Raises:
        ConfigError: everything that is wrong with it.
        UsageError: it cannot be read.
    """
    problems = Problems()
    root = read_tree(path, beside=problems.found, merges=True)
    _, nodes = modules_of(root, problems)
    problems.raise_if_any()
    modules: dict[str, Any] = {}
    taken: dict[str, str] = {}
    variables: dict[str, str] = {}
    notes: list[str] = []
    for name, raw in nodes.items():
        node = externalised(normal(raw), name, taken, headers=True)
        modules[name] = _data(node)
        variables |= {at.text[6:-1]: f"{path}:{at.line}" for at in node.scalars() if at.reference}
        for place, words in unsupported(raw):
            notes.append(str(Problem(place.file, place.line, place.col, f"modules.{name}", words)))
    return Imported(modules, variables, tuple(notes))


def _data(node: Node, key: str = "") -> Any:
    """Plain data; a `${` of the file itself is written `$${`, for sre.yaml reads references."""
    if node.kind == "mapping":
        return {
            name: _data(entry.value, "query_response" if key == "query_response" else name)
            for name, entry in node.entries.items()
        }
    if node.kind == "sequence":
        return [_data(each, key) for each in node.elements]
    text = node.scalar
    if not isinstance(text, str) or node.reference:
        return text
    if key == "query_response":
        return text.replace("${env:", "$${env:")
    return text.replace("${", "$${")
