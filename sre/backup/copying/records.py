"""What does `sre backup copy` give back?"""

from __future__ import annotations

from dataclasses import dataclass

from sre.backup.records import Fault

__all__ = ["Copied", "Passed", "exit_code"]


@dataclass(frozen=True)
class Copied:
    """What became of one backup.

    Attributes:
        state: copied, there (already), healed (what was missing was put back), gone
            (retention took it meanwhile), shredded (its keys were destroyed), waiting (a dry
            run), failed.
        bytes: how many were new at the target, or would be.
    """

    id: str
    kind: str
    state: str
    bytes: int = 0
    problem: Fault | None = None


@dataclass(frozen=True)
class Passed:
    """One pass over one database and one target store.

    Attributes:
        log_objects, log_bytes: of the archived log, new at the target.
        beside, marks, audit: verifications, marks (holds, quarantines, shreddings) and records of
            changes that were new there.
        lag_seconds: how old the oldest thing is that is still in the source alone.
        still_open: shredded backups whose keys still stand at the target.
        missing_objects: objects of backups and log that the target still lacks.
    """

    db: str
    source: str
    target: str
    at: float
    backups: tuple[Copied, ...] = ()
    log_objects: int = 0
    log_bytes: int = 0
    beside: int = 0
    marks: int = 0
    audit: int = 0
    problems: tuple[Fault, ...] = ()
    still_open: tuple[str, ...] = ()
    lag_seconds: float = 0.0
    missing_objects: int = 0
    newest: str = ""
    consistent: float | None = None
    dry_run: bool = False

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Everything that is not what it should be, in either store."""
        found = [each.problem for each in self.backups if each.problem is not None]
        return (*found, *self.problems)


def exit_code(passes: list[Passed]) -> int:
    """7 when something is damaged, in either store; 3 when a shredded backup's keys are left."""
    if any(each.faults for each in passes):
        return 7
    return 3 if any(each.still_open for each in passes) else 0
