from __future__ import annotations

from tests.contracts.probe_kinds import Kind

ENTRY = Kind(
    good=None,  # whether a ping may be sent depends on the machine: tests/e2e/kinds/test_icmp.py
    dead=None,  # loopback always answers
    silent=None,
    at=lambda host, _port: {"host": host},
)
