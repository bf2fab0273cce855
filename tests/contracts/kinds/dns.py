from __future__ import annotations

from tests.contracts.probe_kinds import Kind


def at(host: str, port: int) -> dict[str, str]:
    return {"server": f"{host}:{port}", "transport": "tcp", "query_name": "www.shop.test"}


ENTRY = Kind(
    good=None,  # it needs a DNS server: tests/e2e/kinds/test_dns.py
    dead=lambda w: at("127.0.0.1", w.dead),
    silent=lambda w: at("127.0.0.1", w.silent),
    at=at,
)
