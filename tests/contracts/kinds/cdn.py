from __future__ import annotations

from tests.contracts.probe_kinds import Kind

ENTRY = Kind(
    good=lambda w: {"url": f"{w.hostile.url}/status/200"},
    dead=lambda w: {"url": f"http://127.0.0.1:{w.dead}/"},
    silent=lambda w: {"url": f"http://127.0.0.1:{w.silent}/"},
    at=lambda host, port: {"url": f"http://{host}:{port}/"},
    phases=frozenset({"connect", "processing", "transfer"}),
)
