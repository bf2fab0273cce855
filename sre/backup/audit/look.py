"""What do `sre audit show` and `sre audit verify` find?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sre.backup.audit.chain import Checked, Known, check_chain
from sre.backup.audit.doing import audit_log
from sre.backup.audit.record import COPIES, FOLDER, Entry, parse_entry, seq_of
from sre.backup.job import Job
from sre.backup.objects import Storage
from sre.backup.records import Fault
from sre.core.errors import IntegrityError

__all__ = ["Looked", "audit_stores", "show_audit", "verify_audit"]

_MANIFESTS = 5


@dataclass(frozen=True)
class Looked:
    """What verifying one store's log found."""

    store: str
    checked: Checked
    notes: tuple[str, ...] = ()


def audit_stores(job: Job, store: str | None) -> tuple[str, ...]:
    """The store that was named, or all of sre.yaml. Raises UsageError."""
    if store is not None:
        audit_log(job, store)
        return (store,)
    return tuple(sorted(job.backups.stores))


def show_audit(
    job: Job, store: str, since: float
) -> tuple[Sequence[tuple[str, Entry]], Sequence[Fault]]:
    """The records from a moment on, in their order, and what is no record."""
    found, faults = [], []
    objects = audit_log(job, store).objects()
    for key in sorted(objects, key=lambda key: (seq_of(key) or 0, key)):
        try:
            entry = parse_entry(objects[key])
        except IntegrityError as error:
            faults.append(Fault(key, str(error)))
            continue
        if entry.record.at >= since:
            found.append((key, entry))
    return found, faults


def verify_audit(job: Job, store: str) -> Looked:
    """Check the whole chain against itself, this machine's memory and the newest manifests."""
    log = audit_log(job, store)
    known, notes = [*log.known(), *_manifests(job, store)], []
    trusted = job.backups.keys.trusted
    if not trusted:
        notes.append("keys.trusted is empty: signatures were not checked")
    pending = log.pending()
    if pending:
        notes.append(f"{len(pending)} records of this machine still wait in {log.folder}")
    checked = check_chain(log.objects(), known, trusted)
    if checked.unsigned:
        notes.append(f"{checked.unsigned} records are not signed: their hosts have no keys.signing")
    copies = _copies(log.storage, trusted)
    if copies.records:
        notes.append(f"{copies.records} of these records are copies, of other stores")
    return Looked(
        store,
        Checked(
            checked.records + copies.records,
            checked.unsigned + copies.unsigned,
            (*checked.faults, *copies.faults),
        ),
        tuple(notes),
    )


def _copies(storage: Storage, trusted: Sequence[str]) -> Checked:
    """The records of other stores that are kept here, each chain against itself."""
    chains: dict[str, dict[str, bytes]] = {}
    for each in storage.list(COPIES):
        folder = f"{COPIES}{each.key.removeprefix(COPIES).partition('/')[0]}/"
        chain = chains.setdefault(folder, {})
        chain[each.key.replace(folder, FOLDER, 1)] = storage.get(each.key)
    records = unsigned = 0
    faults = list[Fault]()
    for folder, chain in sorted(chains.items()):
        found = check_chain(chain, (), trusted)
        records, unsigned = records + found.records, unsigned + found.unsigned
        faults += [Fault(e.object.replace(FOLDER, folder, 1), e.problem) for e in found.faults]
    return Checked(records, unsigned, tuple(faults))


def _manifests(job: Job, store: str) -> list[Known]:
    """What the newest signed manifests of each database say of the log."""
    found = []
    for declared in job.backups.databases.values():
        if declared.store_name != store or not job.backups.keys.trusted:
            continue
        catalogue = job.catalogue(declared)
        for place in catalogue.places(declared.name)[-_MANIFESTS:]:
            try:
                head = catalogue.known(place).audit_head
            except IntegrityError:
                continue
            if head is not None:
                where = f"the manifest of {place.id}"
                found.append(Known(where, int(head["seq"]), str(head["sha256"])))
    return found
