"""Which keys does a command on keys mean: of which backups, of which log, in which stores?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sre.backup.catalogue import Catalogue
from sre.backup.job import Job
from sre.backup.keyring.holding import Wrapped, of_log, of_manifest
from sre.backup.keyring.names import parse_key
from sre.backup.layout import ID
from sre.backup.manifest import Manifest
from sre.backup.model import Declared
from sre.backup.records import Fault
from sre.core.errors import UsageError

__all__ = ["Chosen", "choose", "stores_of"]


@dataclass(frozen=True)
class Chosen:
    """The keys of one database in one store.

    Attributes:
        manifests: of the backups that were meant.
        logs: the first forms of its log's keys; empty when single backups were meant.
        faults: manifests that do not count; their keys are left alone.
    """

    job: Job
    declared: Declared
    catalogue: Catalogue
    manifests: tuple[Manifest, ...]
    logs: tuple[Wrapped, ...]
    faults: tuple[Fault, ...]

    @property
    def store(self) -> str:
        """Its name."""
        return self.declared.store_name

    @property
    def firsts(self) -> tuple[Wrapped, ...]:
        """Every key that is meant."""
        return (*(of_manifest(each) for each in self.manifests), *self.logs)


def stores_of(job: Job, declared: Declared, *, everywhere: bool) -> list[Job]:
    """The job at the database's own store and, if wanted, at each store of its copies."""
    names = [declared.store_name, *(declared.tier.copies if everywhere else ())]
    return [job.at(name) for name in dict.fromkeys(names)]


def choose(job: Job, targets: Sequence[str], *, everywhere: bool = False) -> list[Chosen]:
    """What databases or ids mean; nothing at all means everything that is declared.

    Raises:
        UsageError: no such database, or no such backup in its own store.
    """
    ids = {each for each in targets if ID.fullmatch(each)}
    names = [job.declared(each).name for each in targets if each not in ids]
    chosen: list[Chosen] = []
    found: set[str] = set()
    for name in sorted(job.backups.databases):
        if targets and name not in names and not ids:
            continue
        for at in stores_of(job, job.declared(name), everywhere=everywhere):
            one = _of(at, name, whole=not targets or name in names, ids=ids)
            if one.manifests or one.logs or one.faults:
                chosen.append(one)
                found |= {each.id for each in one.manifests}
    for lost in sorted(ids - found):
        raise UsageError(f"there is no backup {lost!r} that counts; see: sre backup list")
    return chosen


def _of(job: Job, name: str, *, whole: bool, ids: set[str]) -> Chosen:
    declared = job.declared(name)
    catalogue = job.catalogue(declared)
    manifests: list[Manifest] = []
    faults: list[Fault] = []
    for each in catalogue.listed([name]):
        if isinstance(each, Fault):
            if whole:
                faults.append(each)
        elif whole or each.id in ids:
            manifests.append(each)
    logs = tuple(_logs(catalogue)) if whole else ()
    return Chosen(job, declared, catalogue, tuple(manifests), logs, tuple(faults))


def _logs(catalogue: Catalogue) -> Iterator[Wrapped]:
    """Keys of logs do not say of which database: all of the store go together."""
    names = (parse_key(each.key) for each in catalogue.storage.list("v1/keys/log-"))
    for stem in sorted({name.stem for name in names if name is not None}):
        yield of_log(stem)
