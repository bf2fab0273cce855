"""For which values of the variables is a block meant? (`when=MODE==systemd`)"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Condition"]

_FORM = re.compile(r"(!?)([A-Z][A-Z0-9_]*)(?:(==|!=)(.*))?", re.DOTALL)


@dataclass(frozen=True)
class Condition:
    """`NAME`, `!NAME` (has it a value?), `NAME==text`, `NAME!=text`."""

    variable: str
    operator: str = ""
    text: str = ""

    @classmethod
    def parse(cls, source: str) -> Condition:
        """Raises ValueError when `source` is none of the four forms."""
        match = _FORM.fullmatch(source)
        if match is None or (match[1] and match[3]):
            raise ValueError("expected NAME, !NAME, NAME==text or NAME!=text")
        return cls(match[2], match[3] or match[1], match[4] or "")

    def holds(self, values: Mapping[str, str]) -> bool:
        """Whether it holds; a variable without a value is empty."""
        value = values.get(self.variable, "")
        if self.operator in {"==", "!="}:
            return (value == self.text) == (self.operator == "==")
        return bool(value) != (self.operator == "!")

    def __str__(self) -> str:
        if self.operator in {"==", "!="}:
            return f"{self.variable}{self.operator}{self.text}"
        return f"{self.operator}{self.variable}"
