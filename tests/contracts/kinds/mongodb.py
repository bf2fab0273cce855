from __future__ import annotations

from tests.contracts.probe_kinds import Kind

ENTRY = Kind(
    good=None,
    dead=lambda w: {"host": "127.0.0.1", "port": w.dead},
    silent=lambda w: {"host": "127.0.0.1", "port": w.silent},
    at=lambda host, port: {"host": host, "port": port},
)
