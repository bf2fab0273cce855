"""What do the commands of backups give back?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sre.sql.model import InvariantResult

__all__ = ["Backup", "Fault", "Restored", "Verification", "Verified"]


@dataclass(frozen=True)
class Verified:
    """The best verification of a backup that is believed: the deepest, then the newest."""

    level: int
    at: float
    rto_seconds: float | None


@dataclass(frozen=True)
class Backup:
    """A committed backup as a list shows it. Times are Unix seconds."""

    id: str
    db: str
    kind: str
    parent: str | None
    tier: str
    started: float
    finished: float
    source_bytes: int
    stored_bytes: int
    volumes: int
    verified: Verified | None = None
    held: bool = False
    locked_until: float | None = None


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, and where: the key of an object, or what else it is about.

    Attributes:
        host: it is about the keys of this host, not about what is stored.
    """

    object: str
    problem: str
    host: bool = False


@dataclass(frozen=True)
class Verification:
    """What one verification found.

    Attributes:
        level: 0 signature and sizes; 1 every byte; 3 a restored server that answers.
        faults: damage, forgery and missing keys.
        failures: what is bad though every byte is genuine: it does not start, an invariant fails.
        phases: seconds by phase.
        rto_seconds: from the start of the restore until the invariants hold; level 3.
        rpo_seconds: how much would be lost if the source died when this began.
        notes: what could not be checked here.
    """

    id: str
    db: str
    level: int
    at: float
    phases: Mapping[str, float] = field(default_factory=dict)
    rto_seconds: float | None = None
    rpo_seconds: float | None = None
    invariants: tuple[InvariantResult, ...] = ()
    faults: tuple[Fault, ...] = ()
    failures: tuple[Fault, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Nothing is wrong."""
        return not self.faults and not self.failures

    @property
    def exit_code(self) -> int:
        """7 for damage and keys, 1 for a restored copy that is bad, else 0."""
        if self.faults:
            return 7
        return 1 if self.failures else 0


@dataclass(frozen=True)
class Restored:
    """What a restore to a folder did."""

    id: str
    db: str
    folder: str
    bytes: int
    seconds: float
    consistent: float
