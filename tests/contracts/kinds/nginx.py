from __future__ import annotations

from tests.contracts.probe_kinds import Kind

ENTRY = Kind(
    good=None,
    dead=lambda w: {"url": f"http://127.0.0.1:{w.dead}/status"},
    silent=lambda w: {"url": f"http://127.0.0.1:{w.silent}/status"},
    at=lambda host, port: {"url": f"http://{host}:{port}/status"},
)
