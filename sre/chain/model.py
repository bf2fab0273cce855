"""What do the rules look at, and what does one say when a link is missing or stale?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from sre.chain.rules import RULES, Severity
from sre.core.yamltree import Position, join_path
from sre.runbook.model import Document, Runbook
from sre.runbook.model import Finding as Fault
from sre.settings import Settings
from sre.slo.promise import Promise

__all__ = ["Finding", "Library", "Locate", "Part", "World"]

Part = Literal["config", "links", "fresh"]
Locate = Callable[[tuple[str | int, ...]], Position]
"""Where the keys and indexes that lead to a value stand in sre.yaml."""


@dataclass(frozen=True, order=True)
class Finding:
    """One link that is missing, broken or stale.

    Attributes:
        path: the key in sre.yaml, or in a runbook's front matter.
        remedy: the command or the line that mends it.
    """

    file: str
    line: int
    col: int
    path: str
    rule: str
    severity: Severity
    message: str
    remedy: str

    def __str__(self) -> str:
        mark = "warning: " if self.severity == "warning" else ""
        path = f" {self.path}" if self.path else ""
        cure = f"; {self.remedy}" if self.remedy else ""
        return f"{mark}{self.file}:{self.line}:{self.col}{path}: {self.message}{cure}"


@dataclass(frozen=True)
class Library:
    """The runbooks that belong to a declaration.

    Attributes:
        home: where the user's own stand, or would stand.
        own: whether they are the user's; otherwise those that came with the package.
        faults: what lint has to say about them.
        shipped: id -> file, of those that came with the package.
    """

    folder: Path
    home: Path
    own: bool = True
    documents: tuple[Document, ...] = ()
    faults: tuple[Fault, ...] = ()
    shipped: Mapping[str, Path] = field(default_factory=dict)

    @cached_property
    def runbooks(self) -> dict[str, Runbook]:
        """By id; files without a readable front matter are left out, lint names them."""
        found = (document.runbook() for document in self.documents)
        return {runbook.id: runbook for runbook in found if runbook is not None}

    def line(self, runbook: Runbook, key: str) -> int:
        """Where a key of the front matter stands."""
        lines = next(d.front_lines for d in self.documents if d.path == runbook.path)
        return lines.get(key, 1)


@dataclass(frozen=True)
class World:
    """Everything that the rules may know; they ask nobody else.

    Attributes:
        promises: the objectives with the probes that watch them.
    """

    settings: Settings
    promises: tuple[Promise, ...]
    library: Library
    locate: Locate

    def find(
        self,
        rule: str,
        steps: tuple[str | int, ...],
        message: str,
        remedy: str,
        severity: Severity | None = None,
    ) -> Finding:
        """A finding at a place of sre.yaml; its severity is the rule's unless told."""
        at, path = self.locate(steps), join_path("", *steps)
        level = severity or RULES[rule].severities[0]
        return Finding(at.file, at.line, at.col, path, rule, level, message, remedy)
