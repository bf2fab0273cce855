"""How are our own child programs started, and what did a program say last?"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Mapping
from pathlib import Path

import sre
from sre.core.secrets import redactor

__all__ = ["PYTHON_PATH", "STREAMING", "TEMPORARY", "UNUSABLE", "Tail", "python_program"]

TEMPORARY = 75
"""With this a program of ours ends when a later try may succeed."""
UNUSABLE = 74
"""With this one ends that cannot take what it was given; its last line says why."""

_TAIL_LINES = 12
_NO_HINTS: Mapping[str, str] = {}

PYTHON_PATH = {
    "PYTHONPATH": os.pathsep.join([str(Path(sre.__file__).parent.parent), *filter(None, sys.path)])
}
"""The child finds every package where we found it, wherever it is started."""

STREAMING = {
    **PYTHON_PATH,
    "PYTHONUTF8": "1",
    "MALLOC_MMAP_THRESHOLD_": str(2**25),
    "MALLOC_TRIM_THRESHOLD_": str(2**26),
}
"""For one that handles pieces of a MiB one after another: memory that was given back to the system
at each would be taken anew for the next, page by page (mallopt(3)). Names of files are UTF-8, as in
the tars, whatever the language here is."""


def python_program(module: str, *arguments: str) -> list[str]:
    """The argument list that runs a module of ours; nothing of the current folder is imported."""
    return [sys.executable, "-P", "-m", module, *arguments]


class Tail:
    """The last lines that programs said on stderr, secrets masked.

    `hints`: after words of theirs, what to do.
    """

    def __init__(self, hints: Mapping[str, str] = _NO_HINTS) -> None:
        self._hints = hints
        self._lines: deque[str] = deque(maxlen=_TAIL_LINES)

    def __call__(self, line: str) -> None:
        """One line more."""
        self._lines.append(line)

    def text(self) -> str:
        """All of them as one line."""
        said = redactor.mask(" | ".join(self._lines)) or "it said nothing"
        hint = next((hint for words, hint in self._hints.items() if words in said), "")
        return f"{said}; {hint}" if hint else said
