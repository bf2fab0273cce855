"""How is a key of a map in a running HAProxy a place?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sre.core.errors import CheckFailed
from sre.failover.degrade.model import Held, Tools
from sre.failover.degrade.places.runtime import ask, quoted

__all__ = ["MapLive"]


@dataclass(frozen=True)
class MapLive:
    """The value of one key at run time, through the runtime API at `socket`."""

    socket: str
    path: str
    key: str
    readable = True

    @property
    def name(self) -> str:
        return f"{self.path} {self.key} at {self.socket}"

    def note(self) -> Mapping[str, Any]:
        return {"place": "map-live", "socket": self.socket, "path": self.path, "key": self.key}

    @classmethod
    def from_note(cls, note: Mapping[str, Any]) -> MapLive:
        return cls(str(note["socket"]), str(note["path"]), str(note["key"]))

    def check(self, tools: Tools) -> None:
        """Always."""

    def read(self, tools: Tools) -> Held:
        answer = ask(self.socket, f"show map {quoted(self.path)}", tools.deadline())
        found = []
        for line in answer.split("\n"):
            parts = re.fullmatch(r"0x[0-9a-f]+ (\S+) ?(.*)", line, re.DOTALL)
            if parts is not None and parts[1] == self.key:
                found.append(parts[2])
            elif parts is None and line.strip():
                raise CheckFailed(self._said(line.strip()))
        if len(found) > 1:
            message = f"{self.key!r} stands {len(found)} times in {self.path} at {self.socket}"
            raise CheckFailed(f"{message}; leave one of them")
        return Held(found[0] if found else None)

    def write(self, value: Held, tools: Tools) -> None:
        there = self.read(tools)
        if value.same(there):
            return
        where = f"map {quoted(self.path)} {quoted(self.key)}"
        if value.text is None:
            said = ask(self.socket, f"del {where}", tools.deadline())
        else:
            verb = "add" if there.text is None else "set"
            said = ask(self.socket, f"{verb} {where} {quoted(value.text)}", tools.deadline())
        if said.strip():
            raise CheckFailed(self._said(said.strip()))

    def _said(self, words: str) -> str:
        cure = ""
        if "nknown map" in words:
            cure = f"; haproxy.cfg must use it, as in map_str({self.path},on); or say through:"
        return f"HAProxy at {self.socket} said of {self.path}: {words[:200]}{cure}"
