from __future__ import annotations

from sre.probes.kinds.process import Watched
from tests.contracts.probe_kinds import Kind

ENTRY = Kind(
    good=lambda _: {"processes": (Watched("first", user="0", min=0),)},
    dead=None,
    silent=None,
    at=None,
)
