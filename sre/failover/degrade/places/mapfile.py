"""How is a key in the file of a HAProxy map a place, so that a reload keeps it?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sre.core.errors import CheckFailed
from sre.failover.degrade.model import Held, Tools
from sre.failover.degrade.places.whole import read_held, write_held

__all__ = ["MapFile", "value_in", "with_value"]

_LINE = re.compile(r"([ \t]*)([^\s#]\S*)([ \t]*)(.*?)(\s*)", re.DOTALL)


@dataclass(frozen=True)
class MapFile:
    """The value of one key; every other line stays as it is."""

    path: str
    key: str
    readable = True

    @property
    def name(self) -> str:
        return f"{self.path} {self.key}"

    def note(self) -> Mapping[str, Any]:
        return {"place": "map-file", "path": self.path, "key": self.key}

    @classmethod
    def from_note(cls, note: Mapping[str, Any]) -> MapFile:
        return cls(str(note["path"]), str(note["key"]))

    def check(self, tools: Tools) -> None:
        """Always."""

    def read(self, tools: Tools) -> Held:
        return Held(value_in(self._text(), self.key, self.path))

    def write(self, value: Held, tools: Tools) -> None:
        before = self._text()
        after = with_value(before, self.key, value.text)
        if after != before:
            write_held(Path(self.path), Held(after))

    def _text(self) -> str:
        found = read_held(Path(self.path)).text
        if found is None:
            raise CheckFailed(f"there is no map {self.path}; HAProxy would not start without it")
        return found


def value_in(text: str, key: str, path: str = "the map") -> str | None:
    """The value of `key`, None when it has none.

    Raises:
        CheckFailed: it stands there twice.
    """
    found = [match for line in _lines(text) if (match := _LINE.fullmatch(line)) and match[2] == key]
    if len(found) > 1:
        raise CheckFailed(f"{key!r} stands {len(found)} times in {path}; leave one of them")
    return found[0][4] if found else None


def with_value(text: str, key: str, value: str | None) -> str:
    """`text` with `key` set, or without it; what was added at the end leaves no trace."""
    lines, done = [], False
    for line in _lines(text):
        match = _LINE.fullmatch(line)
        if match is None or match[2] != key:
            lines.append(line)
        elif value is not None:
            gap = (match[3] or " ") if value else match[3]
            lines.append(f"{match[1]}{key}{gap}{value}{match[5]}")
            done = True
        elif not line.endswith("\n") and lines:
            lines[-1] = lines[-1].removesuffix("\n")
    whole = "".join(lines)
    if value is None or done:
        return whole
    entry = f"{key} {value}".rstrip()
    return f"{whole}\n{entry}" if whole and not whole.endswith("\n") else f"{whole}{entry}\n"


def _lines(text: str) -> list[str]:
    """With their ends; only a line feed ends a line, as HAProxy sees it."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)
