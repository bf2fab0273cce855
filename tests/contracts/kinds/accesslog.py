from __future__ import annotations

from tests.contracts.probe_kinds import Kind

ENTRY = Kind(good=None, dead=None, silent=None, at=None)
