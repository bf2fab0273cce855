"""Which backups are there, and which of them have been verified?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sre.backup.attest import best_of
from sre.backup.catalogue import Catalogue
from sre.backup.condition import Condition, condition_of, conditions
from sre.backup.job import Job
from sre.backup.manifest import Manifest
from sre.backup.model import Declared
from sre.backup.records import Backup, Fault, Spoiled, Verified
from sre.backup.restoring.fetching import gone_elsewhere
from sre.backup.retention.orphans import backup_of
from sre.backup.standing import spoiled_by

__all__ = ["just_made", "list_backups", "show_backup"]


def list_backups(job: Job, db: str | None = None) -> tuple[list[Backup], list[Fault]]:
    """The backups of one database, or of all declared ones, oldest first; and what does not count.

    Raises UsageError (no such database, nobody trusted), Transient (a store does not answer).
    """
    names = [job.declared(db).name] if db else sorted(job.backups.databases)
    backups: list[Backup] = []
    faults: list[Fault] = []
    best: dict[str, dict[str, Verified]] = {}
    for name in names:
        declared = job.declared(name)
        catalogue = job.catalogue(declared)
        verified = best.get(declared.store_name)
        if verified is None:
            verified = best[declared.store_name] = best_of(catalogue)
        held = _held(catalogue)
        found_bad = conditions(catalogue.storage, catalogue.trusted)
        listed = list(catalogue.listed([name]))
        gone = gone_elsewhere(declared, listed, job.clock)
        manifests = {m.id: m for m in listed if isinstance(m, Manifest) and m.id not in gone}
        damaged = _ids_of(each for each in listed if isinstance(each, Fault))
        for found in listed:
            if isinstance(found, Fault):
                faults.append(found)
            elif problem := gone.get(found.id):
                faults.append(Fault(found.where.manifest, problem))
            else:
                backup = _backup(found, verified.get(found.id))
                until = _locked_until(catalogue, declared, found)
                backup = replace(backup, held=found.id in held, locked_until=until)
                spoiled = spoiled_by(found.parent, manifests, damaged, found_bad)
                backup = replace(backup, spoiled_by=spoiled)
                backups.append(_judged(backup, found_bad.get(found.id)))
    return sorted(backups, key=lambda each: (each.finished, each.id)), faults


def just_made(job: Job, manifest: Manifest) -> tuple[Manifest, Backup]:
    """A backup that this host committed just now, as `show_backup` gives it.

    Nothing is read back but a lock, which its writer may see: a host that takes backups need not be
    allowed to read them. Raises Transient.
    """
    declared = job.declared(manifest.db)
    until = _locked_until(job.catalogue(declared), declared, manifest)
    return manifest, replace(_backup(manifest, None), locked_until=until)


def show_backup(job: Job, target: str) -> tuple[Manifest, Backup]:
    """One backup, read from the store. Raises Damaged when it does not count."""
    found = job.find(target)
    manifest = found.catalogue.manifest(found.place)
    backup = _backup(manifest, _verified(found.catalogue, manifest.id))
    held = found.catalogue.storage.head(found.place.mark("hold")) is not None
    until = _locked_until(found.catalogue, found.declared, manifest)
    backup = replace(backup, held=held, locked_until=until)
    storage, trusted = found.catalogue.storage, found.catalogue.trusted
    backup = replace(backup, spoiled_by=_spoiled(found.catalogue, manifest))
    return manifest, _judged(backup, condition_of(storage, trusted, found.place))


def _spoiled(catalogue: Catalogue, manifest: Manifest) -> Spoiled | None:
    if manifest.parent is None:
        return None
    listed = list(catalogue.listed([manifest.db]))
    manifests = {each.id: each for each in listed if isinstance(each, Manifest)}
    damaged = _ids_of(each for each in listed if isinstance(each, Fault))
    bad = conditions(catalogue.storage, catalogue.trusted)
    return spoiled_by(manifest.parent, manifests, damaged, bad)


def _ids_of(faults: Iterable[Fault]) -> frozenset[str]:
    """The backups that faults are about."""
    return frozenset(found[1] for each in faults if (found := backup_of(each.object)) is not None)


def _judged(backup: Backup, condition: Condition | None) -> Backup:
    """A backup that needs shredded keys is verified no more, whatever it once passed."""
    if backup.spoiled_by is not None and backup.spoiled_by.state == "shredded":
        backup = replace(backup, verified=None)
    if condition is None:
        return backup
    if condition.kind == "shredded":
        return replace(backup, shredded=str(condition), verified=None)
    return replace(backup, quarantined=str(condition))


def _held(catalogue: Catalogue) -> set[str]:
    marks = (each.key for each in catalogue.storage.list("v1/marks/"))
    return {key.split("/")[2] for key in marks if key.endswith("/hold.json")}


def _locked_until(catalogue: Catalogue, declared: Declared, manifest: Manifest) -> float | None:
    """Asked only where the tier locks: that is a request for each backup."""
    if declared.tier.lock is None:
        return None
    return catalogue.storage.lock_of(manifest.where.manifest).until


def _verified(catalogue: Catalogue, backup: str) -> Verified | None:
    return best_of(catalogue, backup).get(backup)


def _backup(manifest: Manifest, verified: Verified | None) -> Backup:
    return Backup(
        id=manifest.id,
        db=manifest.db,
        kind=manifest.kind,
        parent=manifest.parent,
        tier=manifest.tier,
        started=manifest.started,
        finished=manifest.finished,
        source_bytes=manifest.source_bytes,
        stored_bytes=manifest.stored_bytes,
        volumes=len(manifest.volumes),
        verified=verified,
    )
