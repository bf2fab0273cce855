from __future__ import annotations

from typing import Any

from tests.contracts.probe_kinds import Kind


def journey_at(path: str) -> dict[str, Any]:
    return {"journey": path}


ENTRY = Kind(
    good=lambda w: journey_at(f"{w.hostile.url}/status/200"),
    dead=lambda w: journey_at(f"http://127.0.0.1:{w.dead}/"),
    silent=lambda w: journey_at(f"http://127.0.0.1:{w.silent}/"),
    at=lambda host, port: journey_at(f"http://{host}:{port}/"),
    phases=frozenset({"connect", "processing", "transfer"}),
)
