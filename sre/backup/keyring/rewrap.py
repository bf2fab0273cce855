"""How do other long-term keys come to open backups that exist, without touching their data?

    open with our identity ─► wrap for keys.recipients ─► …001.age ─► …001.json (signed: it counts)
                                                                 └─► with revoke: the older ones go

Nothing is replaced. Interrupted anywhere, every form that was there opens as before, and the next
run goes on. An older form is deleted only when it is asked for, and only after the new one has been
read back.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sre.backup.audit.doing import audited
from sre.backup.condition import conditions
from sre.backup.fence import guarding
from sre.backup.job import Job
from sre.backup.keyring.choice import Chosen, choose
from sre.backup.keyring.holding import Held, Wrapped, as_record, held_key, open_held
from sre.backup.keyring.names import record
from sre.backup.keys import keys_ready, opens_with, wrap
from sre.backup.lease import Lease
from sre.backup.model import Keys
from sre.backup.objects import Storage
from sre.backup.pruning.locking import describe, writing
from sre.backup.records import Fault
from sre.backup.upkeep import Guarded
from sre.core.errors import Transient

__all__ = ["Rewrapped", "rewrap"]

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Rewrapped:
    """What became of one key.

    Attributes:
        state: `done`, `would`, `same` (opened by the declared recipients already), `failed`.
        why: of a failure; of older forms that a lock keeps.
        deleted: older forms that are gone.
    """

    store: str
    stem: str
    state: str
    recipients: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    why: str = ""
    kept: bool = False


def rewrap(
    job: Job,
    targets: Sequence[str] = (),
    *,
    revoke: bool = False,
    everywhere: bool = False,
    dry_run: bool = False,
    progress: Callable[[int], Progress] = lambda _total: lambda _count: None,
) -> tuple[list[Rewrapped], list[Fault], tuple[str, ...]]:
    """Let `keys.recipients` open the chosen keys: what became of each, what does not count, notes.

    Raises:
        UsageError: no recipients, no signing key, no such backup.
        Locked: retention, or another change of keys, is at work.
        Transient: a store does not answer; run it again.
    """
    keys = job.backups.keys
    keys_ready(keys)
    chosen = choose(job, targets, everywhere=everywhere)
    step = progress(sum(len(each.firsts) for each in chosen))
    done: list[Rewrapped] = []
    for each in chosen:
        with _alone(each, dry_run=dry_run) as lease:
            done += _rewrap_all(each, lease, step, revoke=revoke)
    notes = (*_notes(keys), *(() if everywhere or not revoke else _left(chosen)))
    return done, [fault for each in chosen for fault in each.faults], notes


def _notes(keys: Keys) -> tuple[str, ...]:
    found = []
    if not set(opens_with(keys.identity)) & set(keys.recipients):
        found.append("keys.identity of this host is none of keys.recipients: it opens none of them")
    if len(keys.recipients) == 1:
        found.append(
            "keys.recipients names one key: once it is lost nothing opens; add a second, in a safe"
        )
    return tuple(found)


def _left(chosen: Sequence[Chosen]) -> tuple[str, ...]:
    """Where who was revoked can still open copies."""
    stores = sorted({name for each in chosen for name in each.declared.tier.copies})
    if not stores:
        return ()
    return (f"copies in {', '.join(stores)} open as before: --everywhere revokes there too",)


@contextlib.contextmanager
def _alone(chosen: Chosen, *, dry_run: bool) -> Iterator[Lease | None]:
    """Against retention and other changes of keys; a dry run changes nothing and needs neither."""
    if dry_run:
        yield None
        return
    job, name = chosen.job, chosen.declared.name
    with job.lock("keys", name), job.lease(chosen.declared, "keys") as lease:
        about = [each.stem for each in chosen.firsts]
        with audited(job, chosen.store, "keys-rewrap", name, *about, fence=lease.fence):
            yield lease


def _rewrap_all(
    chosen: Chosen, lease: Lease | None, step: Progress, *, revoke: bool
) -> list[Rewrapped]:
    keys, storage = chosen.job.backups.keys, chosen.catalogue.storage
    gone = conditions(storage, keys.trusted)
    done: list[Rewrapped] = []
    for first in chosen.firsts:
        step(1)
        if first.stem in gone and gone[first.stem].kind == "shredded":
            continue
        held = held_key(storage, keys.trusted, first)
        found = _one(chosen, held, lease, revoke=revoke)
        done.append(found)
        if found.state == "done":
            chosen.job.note("key wrapped again", key=first.stem, store=chosen.store)
    return done


def _one(chosen: Chosen, held: Held, lease: Lease | None, *, revoke: bool) -> Rewrapped:
    """One key: a form for exactly the declared recipients, and the older ones gone if wanted."""
    keys, store = chosen.job.backups.keys, chosen.store
    to, newest = keys.recipients, held.newest
    good = newest is not None and newest in held.forms and set(newest.recipients or ()) == set(to)
    older = [each for each in held.forms if newest is None or each.number < newest.number]
    if good and not (revoke and older):
        return Rewrapped(store, held.stem, "same", to)
    if lease is None:
        return Rewrapped(store, held.stem, "would", to)
    storage = chosen.catalogue.storage
    now = chosen.job.clock.wall()
    with guarding(lease.check):
        if not good:
            opened = open_held(storage, held, keys)
            if isinstance(opened, Fault):
                why = f"{opened.object}: {opened.problem}"
                return Rewrapped(store, held.stem, "failed", why=why)
            locking = writing(storage, chosen.declared.tier.lock, now)
            newest = _written(locking, held, wrap(opened[0], to), keys, now)
        if not revoke or newest is None:
            return Rewrapped(store, held.stem, "done", to)
        _must_read_back(storage, newest)
        deleted, why = _delete_older(storage, held, newest)
    return Rewrapped(store, held.stem, "done", to, deleted, why, kept=bool(why))


def _written(storage: Storage, held: Held, data: bytes, keys: Keys, now: float) -> Wrapped:
    """The new form, then its record: only then does it count."""
    digest = hashlib.sha256(data).hexdigest()
    form = Wrapped(held.stem, held.last + 1, len(data), digest, keys.recipients)
    storage.put(form.key, data)
    storage.put(record(form.stem, form.number), as_record(form, keys, now))
    return form


def _must_read_back(storage: Storage, form: Wrapped) -> None:
    try:
        data = storage.get(form.key)
    except KeyError:
        data = b""
    if hashlib.sha256(data).hexdigest() != form.sha256:
        raise Transient(f"{form.key} does not come back as it was written; nothing was deleted")


def _delete_older(storage: Storage, held: Held, newest: Wrapped) -> tuple[tuple[str, ...], str]:
    """Every older form, its record after it; what is locked stays until then."""
    deleted: list[str] = []
    why = ""
    for form in held.forms:
        if form.number >= newest.number:
            continue
        try:
            storage.delete(form.key)
        except Guarded:
            until = describe(storage.lock_of(form.key))
            why = f"{form.key} is {until}: whoever could open it still can"
            continue
        deleted.append(form.key)
        if form.number:
            with contextlib.suppress(Guarded):
                storage.delete(record(form.stem, form.number))
    return tuple(deleted), why
