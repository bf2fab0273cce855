"""What does `sre backup verify --due` verify, and what came of it?

Each database whose tier's `verify: {every}` has passed since the last one deep enough, whichever
host made it. A store that is away does not hold up the others: then a copy is read instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sre.backup.attest import all_of
from sre.backup.facts import last_verified
from sre.backup.job import Job
from sre.backup.model import Declared
from sre.backup.records import Verification
from sre.backup.restoring.chain import Chain
from sre.backup.verifying.rhythm import Turn, due_at, next_store, turns_of
from sre.backup.verifying.verify import verify, wanted_level
from sre.core.errors import Locked, MissingExtra, SreError, Transient, UsageError

__all__ = ["Outcome", "verify_due", "worst"]

_LOOK_BACK = 10
_WORST_FIRST = (70, 7, 1, 5, 2, 4, 6, 3)

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Outcome:
    """What became of one database.

    Attributes:
        next_at: not due before then (Unix seconds); None when it was.
        problems: (what went wrong, exit code), beside what is in `found`.
    """

    db: str
    found: Verification | None = None
    next_at: float | None = None
    problems: tuple[tuple[str, int], ...] = ()

    @property
    def codes(self) -> tuple[int, ...]:
        """The exit codes of it all."""
        own = () if self.found is None else (self.found.exit_code,)
        return (*own, *(code for _, code in self.problems))


def worst(outcomes: Sequence[Outcome]) -> int:
    """One exit code for all of them. (pure)"""
    codes = {code for each in outcomes for code in each.codes}
    return next((code for code in _WORST_FIRST if code in codes), 0)


def verify_due(
    job: Job,
    names: Sequence[str] = (),
    *,
    dry_run: bool = False,
    progress: Callable[[str, Chain], Progress] = lambda _db, _chain: lambda _count: None,
) -> list[Outcome]:
    """Verify what is due of these databases, or of all. Raises UsageError for an unknown name."""
    chosen = [job.declared(name) for name in names or sorted(job.backups.databases)]
    return [_one(job, each, progress, dry_run=dry_run) for each in chosen]


def _one(
    job: Job, declared: Declared, progress: Callable[[str, Chain], Progress], *, dry_run: bool
) -> Outcome:
    now, tier = job.clock.wall(), declared.tier
    problems: list[tuple[str, int]] = []
    turns = _turns(job, declared, problems)
    at = due_at(turns, float(tier.verify.every), now)
    if at > now:
        return Outcome(declared.name, next_at=at)
    first = next_store(turns, declared.store_name, tier.copies, now)
    if dry_run:
        return Outcome(declared.name, problems=((f"is due, from {first}", 0),))
    for store in dict.fromkeys((first, declared.store_name, *tier.copies)):
        try:
            there = job.at(store)
            if not there.catalogue(there.declared(declared.name)).places(declared.name):
                problems.append(_nothing_in(declared, store))
                continue
            found = verify(
                there,
                declared.name,
                wanted_level(declared),
                progress=lambda chain: progress(declared.name, chain),
            )
            return Outcome(declared.name, found, problems=tuple(problems))
        except (Locked, MissingExtra) as error:
            return Outcome(declared.name, problems=(*problems, (str(error), error.exit_code)))
        except (Transient, UsageError) as error:
            problems.append((f"{store}: {error}", error.exit_code))
        except SreError as error:
            problems.append((f"{store}: {error}", error.exit_code))
    return Outcome(declared.name, problems=tuple(problems))


def _nothing_in(declared: Declared, store: str) -> tuple[str, int]:
    if store == declared.store_name:
        return (f"there is no backup in {store}: sre backup run {declared.name}", 1)
    return (f"{store} holds no copy: sre backup copy {declared.name}", 3)


def _turns(job: Job, declared: Declared, problems: list[tuple[str, int]]) -> tuple[Turn, ...]:
    """What this host did, and what others have stored beside the newest backups."""
    level = wanted_level(declared)
    turns = list(turns_of(last_verified(job, declared.name).get("turns") or [], level))
    known = {(turn.id, turn.at) for turn in turns}
    try:
        catalogue = job.catalogue(declared)
        for place in catalogue.places(declared.name)[-_LOOK_BACK:]:
            records = all_of(catalogue, place.id).get(place.id, [])
            for each in records:
                if (place.id, float(each["at"])) not in known and int(each["level"]) >= level:
                    store = str(each.get("store") or declared.store_name)
                    turns.append(Turn(store, float(each["at"]), bool(each["passed"]), place.id))
    except Transient as error:
        problems.append((f"{declared.store_name}: {error}", error.exit_code))
    return tuple(sorted(turns, key=lambda turn: turn.at))
