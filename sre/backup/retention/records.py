"""What does retention judge, and what does it answer?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

__all__ = ["Action", "Candidate", "Decision", "History", "Orphan", "Plan", "Reason", "Situation"]

Action = Literal["keep", "delete", "retained"]


@dataclass(frozen=True)
class Reason:
    """Why: a word for programs, a sentence for people."""

    code: str
    text: str


@dataclass(frozen=True)
class Candidate:
    """A committed backup. Times are Unix seconds.

    Attributes:
        committed: by the store's clock where it is known.
        verified: when it passed, deeply enough for its tier, and has not failed since.
        failed: when it last failed a verification that no later one took back.
        hold: why somebody holds it.
        locked: the object lock or legal hold on it, in words; empty when there is none.
        lost: why it must not be relied on (quarantined, shredded), in words; empty for most.
    """

    id: str
    kind: str
    parent: str | None
    committed: float
    source_bytes: int = 0
    stored_bytes: int = 0
    verified: float | None = None
    failed: float | None = None
    hold: str | None = None
    locked: str = ""
    lost: str = ""


@dataclass(frozen=True)
class History:
    """All committed backups of one database and how they build on each other."""

    backups: tuple[Candidate, ...]

    @staticmethod
    def of(backups: Sequence[Candidate]) -> History:
        """Oldest first."""
        return History(tuple(sorted(backups, key=lambda each: (each.committed, each.id))))

    @cached_property
    def by_id(self) -> Mapping[str, Candidate]:
        return {each.id: each for each in self.backups}

    def chain(self, backup: Candidate) -> tuple[Candidate, ...] | None:
        """The backup and everything that it builds on; None when some of that is gone."""
        found, seen = [backup], {backup.id}
        while (parent := found[-1].parent) is not None:
            held = self.by_id.get(parent)
            if held is None or held.id in seen:
                return None
            found.append(held)
            seen.add(held.id)
        return tuple(found)

    def ancestors(self, backup: Candidate) -> tuple[Candidate, ...]:
        """What is still there of everything that it builds on."""
        found: list[Candidate] = []
        seen, parent = {backup.id}, backup.parent
        while parent is not None and parent not in seen and parent in self.by_id:
            found.append(self.by_id[parent])
            seen.add(parent)
            parent = self.by_id[parent].parent
        return tuple(found)

    def restorable(self, backup: Candidate) -> bool:
        """Verified, its whole chain is there, and nothing of it failed since."""
        chain = self.chain(backup)
        if chain is None or backup.verified is None:
            return False
        return not any(
            each.lost or (each.failed is not None and each.failed > backup.verified)
            for each in chain
        )

    @cached_property
    def verified(self) -> tuple[Candidate, ...]:
        """The restorable ones, oldest first."""
        return tuple(each for each in self.backups if self.restorable(each))


@dataclass(frozen=True)
class Situation:
    """What else decides.

    Attributes:
        now: the store's clock.
        clock_difference: seconds between it and this machine's.
        failure: how the newest attempt at a backup ended badly; empty when it did not.
        unreadable: a backup that may build on others but cannot be read; empty when none is.
        level: the verification that the tier asks for.
    """

    now: float
    clock_difference: float = 0.0
    failure: str = ""
    unreadable: str = ""
    level: int = 1


@dataclass(frozen=True)
class Decision:
    """What becomes of one backup, and every reason for it."""

    backup: Candidate
    action: Action
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class Plan:
    """What becomes of all of them.

    Attributes:
        blocked: guards because of which nothing at all is deleted.
        large: more than the share that needs a confirmed number.
    """

    decisions: tuple[Decision, ...]
    blocked: tuple[Reason, ...] = ()
    large: bool = False

    def those(self, action: Action) -> tuple[Candidate, ...]:
        """The backups with this action, oldest first."""
        return tuple(each.backup for each in self.decisions if each.action == action)


@dataclass(frozen=True)
class Orphan:
    """What belongs to no backup.

    Attributes:
        what: `backup` (objects without a manifest) or `upload` (one that never ended).
        keys: its objects in the order in which they go.
        upload: the identity of an upload.
    """

    what: Literal["backup", "upload"]
    name: str
    keys: tuple[str, ...]
    bytes: int
    newest: float
    delete: bool
    reason: Reason
    upload: str = ""
