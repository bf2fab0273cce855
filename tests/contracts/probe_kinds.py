"""How is a kind of probe built for each situation of the contract? One file for each kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from sre.probes.kinds import KINDS
from tests.servers.hostile import Hostile
from tests.servers.tls import TlsServers

__all__ = ["Kind", "World", "entries"]


@dataclass
class World:
    """Where the targets are."""

    hostile: Hostile
    tls: TlsServers
    dead: int
    silent: int


@dataclass(frozen=True)
class Kind:
    """How one kind is built for each situation; None: the situation does not exist for it."""

    good: Callable[[World], dict[str, Any]] | None
    dead: Callable[[World], dict[str, Any]] | None
    silent: Callable[[World], dict[str, Any]] | None
    at: Callable[[str, int], dict[str, Any]] | None
    phases: frozenset[str] = frozenset()
    step: Callable[[dict[str, Any]], dict[str, Any]] = field(default=lambda config: config)


def entries() -> dict[str, Kind]:
    """`tests/contracts/kinds/KIND.py` says `ENTRY = Kind(...)`, one for each kind of the table."""
    return {name: import_module(f"tests.contracts.kinds.{name}").ENTRY for name in KINDS.names()}
