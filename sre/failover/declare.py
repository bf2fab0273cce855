"""What do `clusters:`, `traffic:` and `degrade:` of a declaration come to?

Every kind of cluster and switch is loaded to read them, so only where one of them is declared.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, ClassVar

from sre.core.config import Node, Problems
from sre.failover.model import Switching

__all__ = ["SECTIONS", "Shape", "declare"]

SECTIONS = ("clusters", "traffic", "degrade")
"""The keys of sre.yaml that `declare` reads."""


@dataclass(frozen=True)
class Shape:
    """The shape of the sections, for a JSON Schema alone."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    clusters: dict[str, dict[str, Any]] = field(default_factory=dict)
    traffic: dict[str, dict[str, Any]] = field(default_factory=dict)
    degrade: dict[str, dict[str, Any]] = field(default_factory=dict)


def declare(root: Node, problems: Problems) -> Switching:
    """The sections of a resolved root, every problem at its line. Contacts nothing."""
    if all(root.get(section) is None for section in SECTIONS):
        return Switching()
    found: Switching = import_module("sre.failover.declaring").declare(root, problems)
    return found
