"""When was each backup taken and verified, as far as this machine and the stores know?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from sre.backup.attest import best_of
from sre.backup.catalogue import Catalogue, Damaged
from sre.backup.job import Job
from sre.backup.layout import Place
from sre.backup.model import Declared
from sre.backup.records import Fault
from sre.core.errors import IntegrityError, SreError, Transient, UsageError
from sre.core.facts import Facts

__all__ = ["Known", "Memory", "Seen", "Tested", "backups_known", "facts_known"]

T = TypeVar("T")

_LOOK_BACK = 30
"""How many of the newest backups are asked for a verification."""


@dataclass(frozen=True)
class Seen:
    """A committed backup: `consistent` is the moment to which it restores."""

    id: str
    finished: float
    consistent: float


@dataclass(frozen=True)
class Tested:
    """One verification."""

    id: str
    level: int
    at: float


@dataclass(frozen=True)
class Known:
    """What is known of one database's backups.

    Attributes:
        tested: verifications that passed.
        failed: the last verification here, when it did not pass.
        attempt: when the last run here ended, and its exit code.
        answered: whether facts of this machine say anything.
        trouble: why the store said nothing.
        log_upto: the newest moment to which the log leads that this machine archives.
        copies: store -> since when it lacks something, for copies that this machine makes.
    """

    newest: Seen | None = None
    tested: tuple[Tested, ...] = ()
    failed: Tested | None = None
    attempt: tuple[float, int] | None = None
    damaged: tuple[Fault, ...] = ()
    answered: bool = False
    trouble: SreError | None = None
    log_upto: float | None = None
    copies: Mapping[str, float] = field(default_factory=dict)


@dataclass
class Memory:
    """Facts, read so that a damaged one does not hide the others; `damaged`: name -> message."""

    facts: Facts
    damaged: dict[str, str] = field(default_factory=dict)

    def read(self, name: str, parse: Callable[[Mapping[str, Any]], T], default: T) -> T:
        """What `parse` makes of the fact; `default` when there is none, or none of that form."""
        try:
            fact = self.facts.read(name)
            return default if fact is None else parse(fact.value)
        except IntegrityError as error:
            self.damaged[name] = str(error)
        except (KeyError, TypeError, ValueError, AttributeError):
            self.damaged[name] = f"the fact {name} is damaged; run what publishes it again"
        return default


def facts_known(memory: Memory, database: str) -> Known:
    """What this machine did itself."""
    run = memory.read(f"backup/{database}/run", _run, Known())
    verified = memory.read(f"backup/{database}/verified", _verified, Known())
    return Known(
        newest=run.newest,
        tested=verified.tested,
        failed=verified.failed,
        attempt=run.attempt,
        answered=run.answered or verified.answered,
        log_upto=memory.read(f"backup/{database}/log", _log_upto, None),
        copies=memory.read(f"backup/{database}/copies", _copies, {}),
    )


def _log_upto(fact: Mapping[str, Any]) -> float | None:
    return None if fact["last"] is None else float(fact["last"])


def _copies(fact: Mapping[str, Any]) -> dict[str, float]:
    """A pass says how far it was behind when it ended; what came later may be missing too."""
    stores = fact["stores"]
    return {name: float(each["at"]) - float(each["lag_seconds"]) for name, each in stores.items()}


def _run(fact: Mapping[str, Any]) -> Known:
    success, attempt = fact["success"], fact["attempt"]
    return Known(
        newest=success and Seen(success["id"], float(success["at"]), float(success["consistent"])),
        attempt=(float(attempt["at"]), int(attempt["exit_code"])),
        answered=bool(success),
    )


def _verified(fact: Mapping[str, Any]) -> Known:
    last = fact["last"]
    return Known(
        tested=tuple(_tested(each) for each in fact["passed"].values()),
        failed=None if last["passed"] else _tested(last),
        answered=True,
    )


def backups_known(job: Job, memory: Memory, declared: Declared, level: int) -> Known:
    """What this machine and the store know together; `level` is the one that is wanted.

    The store is the truth: what this machine remembers of a backup that is gone does not count.
    """
    here = facts_known(memory, declared.name)
    try:
        catalogue = job.catalogue(declared)
        places = catalogue.places(declared.name)
        there = _stored(catalogue, places, level)
    except (Transient, UsageError, IntegrityError) as error:
        return replace(here, trouble=error)
    ids = {place.id for place in places}
    tested = tuple(each for each in here.tested if each.id in ids)
    return replace(here, newest=there.newest, tested=tested + there.tested, damaged=there.damaged)


def _stored(catalogue: Catalogue, places: Sequence[Place], level: int) -> Known:
    """From the newest backup back to one that was verified deeply enough."""
    newest: Seen | None = None
    tested: list[Tested] = []
    damaged: list[Fault] = []
    for place in reversed(places[-_LOOK_BACK:]):
        try:
            manifest = catalogue.manifest(place)
        except Damaged as error:
            damaged.append(error.fault)
            continue
        newest = newest or Seen(manifest.id, manifest.finished, manifest.consistent)
        best = best_of(catalogue, place.id).get(place.id)
        if best is not None:
            tested.append(Tested(place.id, best.level, best.at))
            if best.level >= level:
                break
    return Known(newest=newest, tested=tuple(tested), damaged=tuple(damaged))


def _tested(record: Mapping[str, Any]) -> Tested:
    return Tested(str(record["id"]), int(record["level"]), float(record["at"]))
