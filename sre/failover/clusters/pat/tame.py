"""What is left of an answer when only what has the right shape is taken from it? (pure)

What answers may be another version, a proxy's page, or broken: nothing later need look again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sre.failover.clusters.pat.said import Said

__all__ = ["tamed"]

_TEXT = ("state", "role", "database_system_identifier")
_ROW_TEXT = ("name", "role", "state", "api_url")


def tamed(said: Said) -> Said:
    """The same with every value of the shape that Patroni gives it; others are left out."""
    return replace(
        said,
        patroni=None if said.patroni is None else _patroni(said.patroni),
        cluster=None if said.cluster is None else _cluster(said.cluster),
        config=None if said.config is None else _config(said.config),
    )


def _patroni(own: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in own.items() if key not in _TEXT}
    about = _mapping(own.get("patroni"))
    return {
        **kept,
        **{key: str(own[key]) for key in _TEXT if isinstance(own.get(key), str | int)},
        "patroni": {key: str(value) for key, value in about.items()},
        "replication": _mappings(own.get("replication")),
        "tags": _mapping(own.get("tags")),
    }


def _cluster(told: Mapping[str, Any]) -> dict[str, Any]:
    rows = [
        {**row, **{key: str(row.get(key) or "") for key in _ROW_TEXT},
         "tags": _mapping(row.get("tags"))}
        for row in _mappings(told.get("members"))
        if isinstance(row.get("name"), str | int)
    ]  # fmt: skip
    scheduled = _mapping(told.get("scheduled_switchover"))
    return {**told, "members": rows, "scheduled_switchover": scheduled}


def _config(told: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in told.items() if key not in ("ttl", "loop_wait")}
    numbers = {key: told[key] for key in ("ttl", "loop_wait") if _number(told.get(key))}
    return {**kept, **numbers}


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e6


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
