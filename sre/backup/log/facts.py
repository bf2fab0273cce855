"""What do the other wings learn of the archived log?

backup/<db>/log  how far it reaches, how far it is behind, holes, why it stopped
"""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass

from sre.backup.job import Job
from sre.core.errors import Transient

__all__ = ["LogState", "publish_log"]


@dataclass(frozen=True)
class LogState:
    """The state of an archiver. Positions are numbers; times Unix seconds.

    Attributes:
        state: `following`, `waiting` (another host holds the lease), `behind` (store or server do
            not answer) or `stopped`.
        problem: in words; empty while all is well.
        stored: the position to which everything is in the store; None before the first segment.
        lag_bytes: what the server has written and the store does not have.
        lag_seconds: how long segments have waited in the spool.
        rpo_seconds: how old the newest moment is that the store covers; None: not measured yet.
        gap_segments: missing since the newest full backup.
        first, last: the moments between which any can be restored.
        full_needed: nothing after a hole can be restored without a new full backup.
    """

    db: str
    place: str
    state: str
    problem: str = ""
    timeline: int = 0
    stored: int | None = None
    lag_bytes: int | None = None
    lag_seconds: float = 0.0
    rpo_seconds: float | None = None
    gap_segments: int = 0
    first: float | None = None
    last: float | None = None
    slot: str = ""
    full_needed: bool = False


def publish_log(job: Job, state: LogState) -> None:
    """Say how it stands. A full disk does not stop an archiver."""
    with contextlib.suppress(Transient):
        job.facts.publish(f"backup/{state.db}/log", asdict(state))
