from __future__ import annotations

from typing import Any

from tests.contracts.probe_kinds import Kind


def at(host: str, port: int) -> dict[str, Any]:
    return {"host": host, "port": port, "user": "watcher"}


ENTRY = Kind(
    good=None,
    dead=lambda w: at("127.0.0.1", w.dead),
    silent=lambda w: at("127.0.0.1", w.silent),
    at=at,
)
