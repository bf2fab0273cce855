from __future__ import annotations

from typing import Any

from tests.contracts.probe_kinds import Kind


def _at(host: str, port: int) -> dict[str, Any]:
    return {"bootstrap": (f"{host}:{port}",)}


ENTRY = Kind(
    good=None,
    dead=lambda w: _at("127.0.0.1", w.dead),
    silent=lambda w: _at("127.0.0.1", w.silent),
    at=_at,
)
