from __future__ import annotations

from tests.contracts.probe_kinds import Kind

ENTRY = Kind(
    good=None,  # it starts a whole Chromium: tests/e2e/kinds/test_browser.py
    dead=None,
    silent=None,
    at=lambda host, port: {"url": f"http://{host}:{port}/"},
)
