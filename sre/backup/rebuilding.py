"""Is the local index of backups what the store says, and how is it made anew?

sre backup catalogue check      compare, change nothing
sre backup catalogue rebuild    forget it, read every manifest and verification again
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sre.backup.attest import all_of
from sre.backup.catalogue import Catalogue
from sre.backup.index import Entry, Index
from sre.backup.job import Job
from sre.backup.layout import database_of
from sre.backup.manifest import Manifest, parse_manifest
from sre.backup.records import Fault
from sre.core.errors import IntegrityError

__all__ = ["Compared", "check_index", "rebuild_index"]

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Compared:
    """One database's part of the index of its store.

    Attributes:
        backups: in the store, and believed.
        verifications: the same.
        held: how many of the manifests the index had, unchanged.
        stale: keys that the index has and the store has not, or has otherwise.
        foreign: keys in the index that no trusted key signed: somebody wrote there.
        faults: manifests in the store that do not count.
    """

    db: str
    store: str
    backups: int
    verifications: int
    held: int
    stale: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()


def check_index(
    job: Job,
    names: Sequence[str] = (),
    *,
    progress: Callable[[int], Progress] = lambda _total: lambda _count: None,
) -> list[Compared]:
    """Read the store and compare; the index stays as it is. Raises UsageError, Transient."""
    return [_compared(job, name, progress) for name in _names(job, names)]


def rebuild_index(
    job: Job,
    names: Sequence[str] = (),
    *,
    progress: Callable[[int], Progress] = lambda _total: lambda _count: None,
) -> list[Compared]:
    """Make it anew from the store; another process may use it meanwhile. Raises as `check_index`.

    What is damaged in the store is named and left out.
    """
    done = []
    for name in _names(job, names):
        catalogue = job.catalogue(job.declared(name))
        fresh = _compared(job, name, progress)  # before anything is forgotten: the store answers
        _forget(catalogue, name)
        held = sum(isinstance(each, Manifest) for each in catalogue.listed([name]))
        all_of(catalogue)
        done.append(dataclasses.replace(fresh, held=held, stale=(), foreign=()))
    return done


def _names(job: Job, names: Sequence[str]) -> list[str]:
    return [job.declared(each).name for each in names or sorted(job.backups.databases)]


def _forget(catalogue: Catalogue, db: str) -> None:
    if catalogue.index is not None:
        index = Index(catalogue.index)
        for prefix in (database_of(db), "v1/attest/"):
            index.forget(index.recall(prefix))


def _compared(job: Job, name: str, progress: Callable[[int], Progress]) -> Compared:
    """Everything is read from the store itself, by a catalogue without an index."""
    declared = job.declared(name)
    catalogue = job.catalogue(declared)
    held = {} if catalogue.index is None else Index(catalogue.index).recall(database_of(name))
    bare = Catalogue(catalogue.storage, catalogue.trusted)
    step = progress(len(bare.places(name)))
    found = list(bare.listed([name], step))
    manifests = {each.where.manifest: each for each in found if isinstance(each, Manifest)}
    foreign = {key for key, entry in held.items() if not catalogue.believes(entry)}
    same = {
        key
        for key, each in manifests.items()
        if key in held and key not in foreign and _says(held[key], each)
    }
    ids = {each.id for each in manifests.values()}
    return Compared(
        db=name,
        store=declared.store_name,
        backups=len(manifests),
        verifications=sum(len(each) for id_, each in all_of(bare).items() if id_ in ids),
        held=len(same),
        stale=tuple(sorted(set(held) - same - foreign)),
        foreign=tuple(sorted(foreign)),
        faults=tuple(each for each in found if isinstance(each, Fault)),
    )


def _says(entry: Entry, manifest: Manifest) -> bool:
    try:
        return parse_manifest(entry.data, manifest.where) == manifest
    except IntegrityError:
        return False
