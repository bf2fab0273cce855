"""How are wrapped keys and their successors called? (pure)

    v1/keys/<stem>.age             as the backup, or a day of log, was written; never replaced
    v1/keys/<stem>.001.age         the same secret for other recipients
    v1/keys/<stem>.001.json        the signed record by which that one counts

A stem is a backup's id, or `log-<epoch>`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from sre.backup.layout import ID

__all__ = ["KeyObject", "family", "original", "parse_key", "record", "wrapped"]

_KEY = re.compile(
    rf"v1/keys/(?P<stem>{ID.pattern}|log-[A-Za-z0-9_-]{{1,80}})"
    r"(?:\.(?P<number>[0-9]{3,6}))?\.(?P<what>age|json)"
)


@dataclass(frozen=True)
class KeyObject:
    """What a name below `v1/keys/` means; number 0 is the original."""

    stem: str
    number: int
    what: Literal["age", "json"]


def family(stem: str) -> str:
    """The prefix of a key and all of its successors."""
    return f"v1/keys/{stem}."


def original(stem: str) -> str:
    """Where the key was first written."""
    return f"v1/keys/{stem}.age"


def wrapped(stem: str, number: int) -> str:
    """Where a successor stands, from 1."""
    return f"v1/keys/{stem}.{number:03d}.age" if number else original(stem)


def record(stem: str, number: int) -> str:
    """What makes it count."""
    return f"v1/keys/{stem}.{number:03d}.json"


def parse_key(key: str) -> KeyObject | None:
    """None for whatever is not ours."""
    match = _KEY.fullmatch(key)
    if match is None:
        return None
    number, what = int(match["number"] or 0), match["what"]
    if (what == "json" and not number) or key != _name(match["stem"], number, what):
        return None
    return KeyObject(match["stem"], number, "age" if what == "age" else "json")


def _name(stem: str, number: int, what: str) -> str:
    return wrapped(stem, number) if what == "age" else record(stem, number)
