from __future__ import annotations

from sre.core.secrets import Secret
from sre.probes.sqlquery import Query
from tests.contracts.probe_kinds import Kind


def dsn(host: str, port: int) -> dict[str, object]:
    text = f"host={host} port={port} user=watcher dbname=shop"
    return {"dsn": Secret.literal(text), "queries": (Query("one", "select 1"),)}


ENTRY = Kind(
    good=None,
    dead=lambda w: dsn("127.0.0.1", w.dead),
    silent=lambda w: dsn("127.0.0.1", w.silent),
    at=dsn,
)
