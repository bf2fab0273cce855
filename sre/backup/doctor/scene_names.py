"""What is the place of an examination called? (pure but for chance)"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

from sre.core.clock import Clock

__all__ = ["SCRATCH", "scratch_name"]

SCRATCH = "doctor-scratch/"
"""Below the store's own prefix, beside `v1/`: no real object ever stands there."""


def scratch_name(clock: Clock) -> str:
    """Unique, and it tells when it was made."""
    made = datetime.fromtimestamp(clock.wall(), UTC)
    return f"{made:%Y%m%dT%H%M%SZ}-{secrets.token_hex(6)}"
