"""Which position in the write-ahead log is further, and where do two histories part? (pure)

Positions are integers: as text, `0/9000000` would be further than `0/10000000`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Control", "Fork", "lsn_of", "lsn_text", "parse_control", "parse_history"]

_LSN = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")


def lsn_of(text: str) -> int:
    """`16/B374D848` as an integer. Raises ValueError."""
    found = _LSN.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not a position in the write-ahead log")
    return (int(found[1], 16) << 32) + int(found[2], 16)


def lsn_text(position: int) -> str:
    """As PostgreSQL writes it."""
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


@dataclass(frozen=True)
class Fork:
    """`timeline` ended at `at`, where the next one of the history begins."""

    timeline: int
    at: int


def parse_history(text: str) -> tuple[Fork, ...]:
    """The content of a `0000000N.history`, oldest first; lines that are none are passed over."""
    forks = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0].isdigit() and _LSN.fullmatch(words[1]):
            forks.append(Fork(int(words[0]), lsn_of(words[1])))
    return tuple(forks)


@dataclass(frozen=True)
class Control:
    """What pg_control says of a server that does not run.

    Attributes:
        state: `shut down`, `shut down in recovery`, `in production`, …
        checkpoint: where its last checkpoint record begins.
        timeline: that of its last checkpoint.
        clean: whether it was left so that no recovery is needed.
    """

    state: str
    checkpoint: int
    timeline: int
    system: str

    @property
    def clean(self) -> bool:
        """Whether it ended in order, as a primary."""
        return self.state == "shut down"


_STATES = "Database cluster state"


def parse_control(text: str) -> Control:
    """What pg_controldata printed with LC_ALL=C. Raises ValueError when something is missing."""
    said = _pairs(text)
    try:
        return Control(
            state=said[_STATES],
            checkpoint=lsn_of(said["Latest checkpoint location"]),
            timeline=int(said["Latest checkpoint's TimeLineID"]),
            system=said["Database system identifier"],
        )
    except KeyError as error:
        raise ValueError(f"pg_controldata said nothing of {error.args[0]!r}") from error


def _pairs(text: str) -> Mapping[str, str]:
    lines = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value.strip() for name, colon, value in lines if colon}
