"""Who can open which backups, and does a given identity really open them?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sre.backup.condition import conditions
from sre.backup.job import Job
from sre.backup.keyring.choice import Chosen, choose
from sre.backup.keyring.holding import Held, Wrapped, held_key, open_held
from sre.backup.keys import opens_with
from sre.backup.model import Keys
from sre.backup.records import Fault

__all__ = ["Openers", "Tried", "openers", "publish_openers", "try_keys"]

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Openers:
    """Of one database in one store.

    Attributes:
        total: keys that are there; `unknown` of them do not say for whom (of the log).
        counts: how many of them each recipient opens.
        declared: `keys.recipients` of sre.yaml.
        outdated: keys that are not for exactly these.
        shredded: ids.
        faults: what does not count, or is gone.
    """

    db: str
    store: str
    total: int
    counts: Mapping[str, int]
    declared: tuple[str, ...]
    outdated: tuple[str, ...] = ()
    unknown: int = 0
    shredded: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()

    @property
    def least(self) -> int:
        """How many recipients open every one of them."""
        known = self.total - self.unknown
        return sum(count == known for count in self.counts.values()) if known else 0


@dataclass(frozen=True)
class Tried:
    """What an identity opened.

    Attributes:
        closed: what it does not open, and why.
    """

    identity: tuple[str, ...]
    opened: tuple[str, ...]
    closed: tuple[Fault, ...] = field(default=())


def openers(job: Job, targets: Sequence[str] = (), *, everywhere: bool = False) -> list[Openers]:
    """Who opens what, by what manifests and signed records say; opens nothing."""
    return [_openers(each) for each in choose(job, targets, everywhere=everywhere)]


def publish_openers(job: Job, found: Openers) -> None:
    """For the metric `sre_backup_key_recipients`."""
    value = {"db": found.db, "store": found.store, "keys": found.total, "recipients": found.least}
    job.facts.publish(f"backup/{found.db}/keys", value)


def _openers(chosen: Chosen) -> Openers:
    keys, storage = chosen.job.backups.keys, chosen.catalogue.storage
    gone = conditions(storage, keys.trusted)
    counts: Counter[str] = Counter()
    outdated, shredded, faults = list[str](), list[str](), list[Fault](chosen.faults)
    total = unknown = 0
    for first in chosen.firsts:
        if first.stem in gone and gone[first.stem].kind == "shredded":
            shredded.append(first.stem)
            continue
        held = held_key(storage, keys.trusted, first)
        faults += [*held.strays, *_lost(held)]
        if not held.forms:
            continue
        total += 1
        to = {each for form in held.forms for each in form.recipients or ()}
        counts.update(to)
        blind = all(form.recipients is None for form in held.forms)
        unknown += blind
        if not blind and to != set(keys.recipients):
            outdated.append(held.stem)
    return Openers(
        chosen.declared.name, chosen.store, total, dict(counts), keys.recipients,
        tuple(outdated), unknown, tuple(shredded), tuple(faults),
    )  # fmt: skip


def _lost(held: Held) -> list[Fault]:
    """The newest form that counts must be there; older ones may have been revoked."""
    newest = held.newest
    return [Fault(newest.key, "the object is missing")] if newest in held.missing and newest else []


def try_keys(
    job: Job,
    keys: Keys,
    targets: Sequence[str] = (),
    *,
    newest: int | None = None,
    everywhere: bool = False,
    progress: Callable[[int], Progress] = lambda _total: lambda _count: None,
) -> Tried:
    """Open keys with `keys.identity` for real; `newest` of each database's backups, None: all.

    Raises UsageError, Transient.
    """
    chosen = choose(job, targets, everywhere=everywhere)
    work = [(each, first) for each in chosen for first in _newest(each, newest)]
    step = progress(len(work))
    opened, closed = list[str](), [fault for each in chosen for fault in each.faults]
    gone = {each.store: conditions(each.catalogue.storage, keys.trusted) for each in chosen}
    for each, first in work:
        step(1)
        if first.stem in gone[each.store] and gone[each.store][first.stem].kind == "shredded":
            continue
        storage = each.catalogue.storage
        found = open_held(storage, held_key(storage, keys.trusted, first), keys)
        if isinstance(found, Fault):
            closed.append(found)
        else:
            opened.append(first.stem)
    return Tried(opens_with(keys.identity), tuple(opened), tuple(closed))


def _newest(chosen: Chosen, count: int | None) -> Sequence[Wrapped]:
    if count is None:
        return chosen.firsts
    order = sorted(chosen.manifests, key=lambda each: (each.finished, each.id))
    ids = {each.id for each in order[-count:]}
    return [each for each in chosen.firsts if each.stem in ids or each in chosen.logs]
