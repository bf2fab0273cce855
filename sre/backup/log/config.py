"""What may `archive:` of a database say?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from sre.core.units import Duration

__all__ = ["Archive"]

_SLOT = re.compile(r"[a-z0-9_]{1,63}")


@dataclass(frozen=True)
class Archive:
    """How `sre backup archive` follows the database's log.

    Attributes:
        spool: where segments wait for the store; in the state folder unless told.
        slot: the replication slot that keeps what is not stored yet on the server; `sre_` and the
            database's name unless told.
        heartbeat: how often a small commit marks the time in the log, without a table; 0s: never.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    spool: Path | None = None
    slot: str = ""
    heartbeat: Duration = Duration(5.0)

    def __post_init__(self) -> None:
        if self.slot and not _SLOT.fullmatch(self.slot):
            raise ValueError("slot must be lower-case letters, digits and _, at most 63")
        if self.heartbeat < 0 or 0 < self.heartbeat < 1:
            raise ValueError("heartbeat must be at least 1s, or 0s to leave it out")
