"""What do the commands of backups give back?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sre.sql.model import InvariantResult

__all__ = ["Backup", "Fault", "Replay", "Restored", "Spoiled", "Verification", "Verified"]


@dataclass(frozen=True)
class Verified:
    """The best verification of a backup that is believed: the deepest, then the newest."""

    level: int
    at: float
    rto_seconds: float | None


@dataclass(frozen=True)
class Spoiled:
    """What a backup builds on, and why that must not be relied on.

    Attributes:
        state: quarantined, shredded, missing, or damaged (its manifest does not count).
    """

    id: str
    state: str

    def __str__(self) -> str:
        return f"builds on {self.state} {self.id}"


@dataclass(frozen=True)
class Backup:
    """A committed backup as a list shows it. Times are Unix seconds.

    Attributes:
        spoiled_by: the nearest of what it builds on that must not be relied on.
    """

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
    quarantined: str | None = None
    shredded: str | None = None
    spoiled_by: Spoiled | None = None


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
class Replay:
    """How far the archived log led a restored copy.

    Attributes:
        end: the position, as the engine writes it.
        bytes: of log that was replayed.
        upto: everything committed until then (Unix seconds) is in it; None: nobody measured.
    """

    end: str
    timeline: int
    bytes: int
    upto: float | None


@dataclass(frozen=True)
class Verification:
    """What one verification found.

    Attributes:
        level: 0 signature and sizes; 1 every byte; 2 unpacked, the engine's check of the files;
            3 a restored server that answers; 4 the application accepts it.
        faults: damage, forgery and missing keys.
        failures: what is bad though every byte is genuine: it does not start, an invariant fails.
        phases: seconds by phase.
        rto_seconds: from the start of the restore until the invariants hold; level 3.
        rpo_seconds: how much would be lost if the source died when this began.
        notes: what could not be checked here, or says less than it seems.
        store: from which one it was read.
        replay: the archived log that was replayed; level 3, where the tier archives.
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
    store: str = ""
    replay: Replay | None = None

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
    """What a restore to a folder did.

    Attributes:
        seconds: from the start until it had its name.
        consistent: the moment (Unix seconds) of the backup's end.
        target: what was asked for, in words.
        recovered: the log was replayed to the target here; it is a cleanly stopped database.
        lsn: the position after the last record that was replayed; "" when nothing was.
        newest: when the newest transaction in it committed, as the server says it (UTC); "".
        stopped: before or after which transaction it stopped, `before 740`; "" at no transaction.
        port: what its configuration says; None when it has none.
        phases: seconds by phase.
        order: what is known of the order before which it stopped.
        short: something archived is missing in it: the log has a hole.
    """

    id: str
    db: str
    folder: str
    bytes: int
    seconds: float
    consistent: float
    target: str = ""
    recovered: bool = False
    lsn: str = ""
    newest: str = ""
    stopped: str = ""
    port: int | None = None
    phases: Mapping[str, float] = field(default_factory=dict)
    order: Mapping[str, str] = field(default_factory=dict)
    short: bool = False
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """3 when a hole in the log ended it, else 0."""
        return 3 if self.short else 0
