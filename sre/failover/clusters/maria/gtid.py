"""Who has more of the log, and who has what nobody else has? (pure; numbers, never text)"""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = [
    "Position", "State", "covers", "errant", "merged", "missing", "position_of", "state_of",
    "text_of", "total",
]  # fmt: skip

Position = Mapping[int, tuple[int, int]]
"""Replication domain -> server id and sequence number of its last transaction."""
State = Mapping[tuple[int, int], int]
"""Domain and server id -> the last sequence number of that server, as in gtid_binlog_state."""

_GTID = re.compile(r"(\d+)-(\d+)-(\d+)")


def _each(text: str) -> list[tuple[int, int, int]]:
    found = []
    for word in text.replace("\n", "").split(","):
        if not word.strip():
            continue
        match = _GTID.fullmatch(word.strip())
        if match is None:
            raise ValueError(f"{word.strip()!r} is not a GTID")
        found.append((int(match[1]), int(match[2]), int(match[3])))
    return found


def position_of(text: str | None) -> dict[int, tuple[int, int]]:
    """`0-1-100,1-2-7`. Raises ValueError."""
    found: dict[int, tuple[int, int]] = {}
    for domain, server, number in _each(text or ""):
        if domain not in found or found[domain][1] <= number:
            found[domain] = (server, number)
    return found


def state_of(text: str | None) -> dict[tuple[int, int], int]:
    """As `position_of`, each server of a domain by itself. Raises ValueError."""
    found: dict[tuple[int, int], int] = {}
    for domain, server, number in _each(text or ""):
        found[domain, server] = max(number, found.get((domain, server), 0))
    return found


def text_of(position: Position) -> str:
    """As the server writes it."""
    return ",".join(f"{domain}-{server}-{number}"
                    for domain, (server, number) in sorted(position.items()))  # fmt: skip


def merged(*positions: Position) -> dict[int, tuple[int, int]]:
    """The furthest of each domain."""
    found: dict[int, tuple[int, int]] = {}
    for position in positions:
        for domain, at in position.items():
            if domain not in found or found[domain][1] < at[1]:
                found[domain] = at
    return found


def missing(have: Position, wanted: Position) -> int:
    """How many transactions of `wanted` are not in `have`."""
    return sum(
        max(0, number - have.get(domain, (0, 0))[1]) for domain, (_, number) in wanted.items()
    )


def covers(have: Position, wanted: Position) -> bool:
    """Whether everything of `wanted` is in `have`."""
    return missing(have, wanted) == 0


def total(position: Position) -> int:
    """One number that grows with every transaction."""
    return sum(number for _, number in position.values())


def errant(mine: State, state: State, position: Position, server: int | None = None) -> str:
    """What a server has written that another does not have; empty: nothing.

    `mine` is its gtid_binlog_state, `state` and `position` are the other's gtid_binlog_state and
    what it has replicated; `server`: of this server's transactions more may be on their way.
    """
    lacking = [
        (domain, by, number)
        for (domain, by), number in sorted(mine.items())
        if by != server
        and state.get((domain, by), 0) < number
        and position.get(domain, (0, 0))[1] < number
    ]
    return ",".join("-".join(map(str, each)) for each in lacking)
