"""How is a whole file a place?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sre.failover.degrade.model import Held, Tools
from sre.failover.degrade.places.whole import read_held, write_held

__all__ = ["WholeFile"]


@dataclass(frozen=True)
class WholeFile:
    """The content of a file, or that there is none."""

    path: str
    readable = True

    @property
    def name(self) -> str:
        return f"file {self.path}"

    def note(self) -> Mapping[str, Any]:
        return {"place": "file", "path": self.path}

    @classmethod
    def from_note(cls, note: Mapping[str, Any]) -> WholeFile:
        return cls(str(note["path"]))

    def check(self, tools: Tools) -> None:
        """Always."""

    def read(self, tools: Tools) -> Held:
        return read_held(Path(self.path))

    def write(self, value: Held, tools: Tools) -> None:
        write_held(Path(self.path), value)
