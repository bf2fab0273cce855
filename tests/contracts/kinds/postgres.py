from __future__ import annotations

from sre.core.secrets import Secret
from tests.contracts.probe_kinds import Kind


def dsn(host: str, port: int) -> dict[str, object]:
    return {"dsn": Secret.literal(f"host={host} port={port} user=watcher dbname=shop")}


ENTRY = Kind(
    good=None,
    dead=lambda w: dsn("127.0.0.1", w.dead),
    silent=lambda w: dsn("127.0.0.1", w.silent),
    at=dsn,
)
