"""What has to be run for these databases, and when? (pure)"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from sre.backup.model import Declared
from sre.backup.scheduling.times import cron_of
from sre.core.errors import UsageError

__all__ = ["Task", "tasks_of"]

_DAY = 86400.0
_LONGEST_NAME = 52
"""What Kubernetes allows the name of a CronJob."""


@dataclass(frozen=True)
class Task:
    """One thing to run.

    Attributes:
        name: lower-case letters, digits and -, at most 52; unique.
        argv: what follows the name of the program.
        cron: when it begins; empty for what runs always.
        every: of what runs always under a scheduler that only starts things: how soon again.
        seconds: how long it may take.
        says: for people.
    """

    name: str
    argv: tuple[str, ...]
    cron: str
    says: str
    seconds: int = 12 * 3600


def tasks_of(chosen: Sequence[Declared]) -> tuple[Task, ...]:
    """Everything that the tiers of these databases promise.

    Raises UsageError when a rhythm cannot be kept by a scheduler, or nothing is promised.
    """
    found = [task for each in chosen for task in _of_database(each)]
    for store in sorted({each.store_name for each in chosen if found}):
        name = _name("doctor", store)
        says = f"what does the store {store} really do?"
        argv = ("backup", "doctor", store)
        found.append(Task(name, argv, cron_of("daily", f"doctor {store}"), says, 600))
    if not found:
        raise UsageError(
            "nothing to schedule: give the databases a tier with full: daily and the like"
        )
    return tuple(found)


_KINDS = {"full": "a full", "differential": "a differential", "incremental": "an incremental"}


def _of_database(each: Declared) -> list[Task]:
    tier, db = each.tier, each.name
    found = []
    for kind, a_kind in _KINDS.items():
        rhythm = getattr(tier, kind)
        if rhythm is not None:
            argv = ("backup", "run", db, "--kind", kind)
            cron = _cron(each, kind, rhythm)
            found.append(Task(_name(kind, db), argv, cron, f"{a_kind} backup of {db}"))
    if not each.tier_name:
        return found
    often = "daily" if tier.verify.every >= _DAY else "hourly"
    found.append(
        Task(
            _name("verify", db), ("backup", "verify", db, "--due"),
            cron_of(often, f"verify {db}"), f"would the backups of {db} save us?",
        )
    )  # fmt: skip
    if tier.copies:
        says = f"copies of {db} in {', '.join(tier.copies)} (where those stores are)"
        found.append(Task(_name("copy", db), ("backup", "copy", db, "--watch"), "", says))
    if tier.keep is not None:
        cron = cron_of("daily", f"prune {db}")
        found.append(
            Task(
                _name("prune", db),
                ("backup", "prune", db, "--yes"),
                cron,
                f"what of {db} may go",
                7200,
            )
        )
    if tier.archive:
        says = f"the log of {db}, as it is written"
        found.append(Task(_name("archive", db), ("backup", "archive", db), "", says))
    return found


def _cron(each: Declared, key: str, rhythm: str) -> str:
    try:
        return cron_of(rhythm, f"{key} {each.name}")
    except ValueError as error:
        raise UsageError(f"tiers.{each.tier_name}.{key}: {error}") from error


def _name(kind: str, about: str) -> str:
    """Names of stores may hold more than schedulers allow; long ones keep a digest."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c == "-") else "-" for c in about.lower())
    name = f"sre-backup-{kind}-{plain}"
    if plain == about and len(name) <= _LONGEST_NAME and name[-1] != "-":
        return name
    digest = hashlib.sha256(about.encode()).hexdigest()[:8]
    return f"{name[: _LONGEST_NAME - 9].rstrip('-')}-{digest}"
