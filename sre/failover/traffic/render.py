"""How do the switches of traffic look, to people and to programs?"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from sre.failover.switches import Way

__all__ = ["SCHEMA", "as_json", "as_text", "way_as_data"]

SCHEMA = "sre.traffic/1"

_HEADS = ("server", "address", "state", "in file", "healthy", "sessions", "weight")


def as_json(ways: Mapping[str, Way], errors: Mapping[str, str], kinds: Mapping[str, str]) -> str:
    """One document; a switch that did not answer has `error` and no servers."""
    listed = [
        {"name": name, "kind": kinds.get(name, ""), **_data(ways.get(name), errors.get(name))}
        for name in kinds
        if name in ways or name in errors
    ]
    return json.dumps({"schema": SCHEMA, "switches": listed}, indent=2)


def as_text(ways: Mapping[str, Way], errors: Mapping[str, str], kinds: Mapping[str, str]) -> str:
    """A table for each switch."""
    parts = []
    for name, kind in kinds.items():
        if name in ways:
            parts.append("\n".join([f"{name} ({kind})", *_table(ways[name]), *_told(ways[name])]))
        elif name in errors:
            parts.append(f"{name} ({kind})\n  unreachable: {errors[name]}")
    return "\n\n".join(parts)


def way_as_data(way: Way) -> dict[str, Any]:
    """What a switch said, as plain values."""
    return {
        "servers": [dataclasses.asdict(each) for each in way.servers],
        "open": list(way.open()),
        "maintenance": way.maintenance,
        "problems": list(way.problems),
        "notes": list(way.notes),
    }


def _data(way: Way | None, error: str | None) -> dict[str, Any]:
    return {"error": error} if way is None else way_as_data(way)


def _table(way: Way) -> list[str]:
    rows = [_HEADS, *(_row(each) for each in map(dataclasses.asdict, way.servers))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    return [_line(row, widths) for row in rows]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
    return ("  " + "  ".join(cells)).rstrip()


def _row(server: Mapping[str, Any]) -> tuple[str, ...]:
    healthy = {True: "yes", False: "NO", None: "-"}[server["healthy"]]
    numbers = ("-" if server[key] is None else str(server[key]) for key in ("sessions", "weight"))
    configured = "-" if server["configured"] == "unknown" else server["configured"]
    return (server["name"], server["address"], server["state"], configured, healthy, *numbers)


def _told(way: Way) -> list[str]:
    shown = ["  shows the maintenance page"] if way.maintenance else []
    shown += [f"  problem: {each}" for each in way.problems]
    return shown + [f"  note: {each}" for each in way.notes]
