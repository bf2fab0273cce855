from __future__ import annotations

from tests.contracts.probe_kinds import Kind

ENTRY = Kind(
    good=lambda w: {"host": "127.0.0.1", "port": w.hostile.port},
    dead=lambda w: {"host": "127.0.0.1", "port": w.dead},
    silent=lambda w: {"host": "127.0.0.1", "port": w.silent, "expect": "hello"},
    at=lambda host, port: {"host": host, "port": port},
    phases=frozenset({"connect"}),
)
