"""Does HAProxy show its maintenance page, by the word that a map of it holds?

The rules stand in HAProxy's own file; we only turn the map's key `page` on and off, at run time
and in the map's file, which HAProxy reads again when it is reloaded.
"""

from __future__ import annotations

import re
from pathlib import Path

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed
from sre.failover.traffic import filechange
from sre.failover.traffic.haproxyruntime import ask

__all__ = ["look", "put"]

_KEY = "page"
_ENTRY = re.compile(rf"^0x[0-9a-f]+ {_KEY} (\S+)\s*$", re.MULTILINE)
_LINE = re.compile(rb"^([ \t]*page[ \t]+)(\S+)", re.MULTILINE)


def look(address: str, path: str, deadline: Deadline) -> tuple[bool, list[str]]:
    """Whether it is shown, and in what the file differs from that."""
    shown = _now(address, path, deadline) == "on"
    found = _LINE.search(filechange.read(path))
    written = found is not None and found[2] == b"on"
    if written == shown:
        return shown, []
    words = ("is", "not") if shown else ("is not", "")
    return shown, [f"the maintenance page {words[0]} shown, and {path} says {words[1]} so".strip()]


def put(address: str, path: str, deadline: Deadline, *, on: bool) -> None:
    """Run time, then the file.

    Raises:
        CheckFailed: HAProxy has no such map, or the file cannot be changed.
    """
    word = "on" if on else "off"
    known = _now(address, path, deadline) is not None
    said = ask(address, f"{'set' if known else 'add'} map {path} {_KEY} {word}", deadline).strip()
    if said or _now(address, path, deadline) != word:
        raise CheckFailed(f"HAProxy does not change its map {path}: {said or 'it is as before'}")
    filechange.change(path, lambda text: _edited(text, word.encode()), _nothing, deadline)


def _now(address: str, path: str, deadline: Deadline) -> str | None:
    said = ask(address, f"show map {path}", deadline)
    found = _ENTRY.search(said)
    if said.strip() and not any(line.startswith("0x") for line in said.splitlines()):
        raise CheckFailed(
            f"HAProxy uses no map {path} ({said.strip()[:120]}); `maintenance` is the path as its "
            "rules write it"
        )
    return found[1] if found else None


def _edited(text: bytes, word: bytes) -> bytes:
    if _LINE.search(text):
        return _LINE.sub(lambda found: found[1] + word, text)
    ended = text if not text or text.endswith(b"\n") else text + b"\n"
    return ended + b"page " + word + b"\n"


def _nothing(_draft: Path, _deadline: Deadline) -> None:
    """A map has no program that checks it."""
