from __future__ import annotations

from tests.contracts.probe_kinds import Kind

ENTRY = Kind(
    good=None,
    dead=lambda w: {"socket": f"127.0.0.1:{w.dead}"},
    silent=lambda w: {"socket": f"127.0.0.1:{w.silent}"},
    at=lambda host, port: {"socket": f"{host}:{port}"},
)
