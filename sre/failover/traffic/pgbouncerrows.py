"""What do the rows of PgBouncer's console say? (pure)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sre.failover.switches import State

__all__ = ["address_of", "is_on", "quoted", "state_of"]


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def is_on(row: Mapping[str, str], flag: str) -> bool:
    return row.get(flag, "0") not in ("", "0")


def address_of(row: Mapping[str, str]) -> str:
    host = row["host"]
    return f"[{host}]:{row['port']}" if ":" in host else f"{host}:{row['port']}"


def state_of(row: Mapping[str, str], working: Sequence[Mapping[str, str]]) -> State:
    if is_on(row, "paused") or is_on(row, "disabled"):
        return "draining" if working else "closed"
    return "open"
