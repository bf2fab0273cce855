"""What is in the store, as retention has to know it before anything may go?

Everything is read first; any error ends it. The list is taken twice and both must agree: a page
that is missing makes a backup look like garbage, or a full one like nobody's parent.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sre.backup.attest import all_of, best, failed_at
from sre.backup.catalogue import Catalogue, Damaged
from sre.backup.claim import parse_claim
from sre.backup.condition import conditions
from sre.backup.facts import last_run
from sre.backup.job import Job
from sre.backup.layout import MANIFEST, place_of, stamp
from sre.backup.manifest import Manifest
from sre.backup.model import Declared
from sre.backup.objects import ObjectInfo, Storage
from sre.backup.pruning.listed import listed_twice
from sre.backup.pruning.marks import believed_rest, hold_of
from sre.backup.records import Fault
from sre.backup.retention.orphans import Around, backup_of, find_orphans, least_age
from sre.backup.retention.records import Candidate, History, Orphan, Situation
from sre.backup.verifying.verify import wanted_level
from sre.core.errors import Locked, Transient

__all__ = ["Survey", "survey"]

_LOCKS = "v1/locks/"
_MARK = re.compile(r"v1/marks/(?P<id>[^/]+)/expiring\.json")
_BESIDE = re.compile(r"v1/(?:(?:attest|marks)/(?P<id>[^/]+)/|keys/(?P<key>[^/.]+)\.)[^/]+")


@dataclass(frozen=True)
class Survey:
    """One database's part of a store.

    Attributes:
        others: keys beside the known ones that go with a backup, by its id.
        rests: manifests of deletions that were interrupted.
        stale: backups that are there with the mark of a deletion.
        faults: manifests that do not count; they and what they may build on are left alone.
    """

    declared: Declared
    catalogue: Catalogue
    history: History
    situation: Situation
    manifests: Mapping[str, Manifest]
    others: Mapping[str, tuple[str, ...]]
    rests: tuple[Manifest, ...]
    stale: frozenset[str]
    orphans: tuple[Orphan, ...]
    faults: tuple[Fault, ...]


def survey(job: Job, declared: Declared, *, alone: bool) -> Survey:
    """Read it. `alone`: we hold the lease, so that nobody takes a backup meanwhile.

    Raises UsageError, Transient; nothing has been touched.
    """
    catalogue = job.catalogue(declared)
    storage, wall = catalogue.storage, job.clock.wall()
    at = storage.time()
    now = wall if at is None else at
    objects = listed_twice(storage, now)
    manifests, faults = _manifests(catalogue, declared.name, objects)
    level = _level(declared)
    history = _history(catalogue, manifests, objects, level)
    rests = tuple(_rests(catalogue, declared.name, objects, {m.id for m in manifests}))
    busy = "" if alone else _busy(storage, declared.name, objects, now)
    longest = least_age(m.finished - m.started for m in manifests)
    around = Around(declared.name, now, longest, busy, frozenset(m.id for m in rests))
    orphans = tuple(find_orphans(objects, list(storage.pending("v1/")), around))
    for each in orphans:
        if each.what == "backup":
            _must_be_gone(storage, f"{each.keys[-1].rpartition('/')[0]}/{MANIFEST}")
    failure = _failure(job, declared.name, history, orphans)
    keys = {each.key for each in objects}
    return Survey(
        declared=declared,
        catalogue=catalogue,
        history=history,
        situation=Situation(now, now - wall, failure, _unreadable(faults), level),
        manifests={m.id: m for m in manifests},
        others=_others(objects),
        rests=rests,
        stale=frozenset(m.id for m in manifests if m.where.mark("expiring") in keys),
        orphans=orphans,
        faults=tuple(faults),
    )


def _manifests(
    catalogue: Catalogue, db: str, objects: Sequence[ObjectInfo]
) -> tuple[list[Manifest], list[Fault]]:
    found: list[Manifest] = []
    faults: list[Fault] = []
    places = [place_of(each.key) for each in objects]
    for place in places:
        if place is None or place.db != db:
            continue
        try:
            found.append(catalogue.known(place))
        except Damaged as error:
            faults.append(error.fault)
    return found, faults


def _history(
    catalogue: Catalogue, manifests: Sequence[Manifest], objects: Sequence[ObjectInfo], level: int
) -> History:
    storage, attested = catalogue.storage, all_of(catalogue)
    marked = {each.key.split("/")[2] for each in objects if each.key.startswith("v1/marks/")}
    stored = {each.key: each.modified for each in objects}
    lost = conditions(storage, catalogue.trusted)
    return History.of(
        [
            dataclasses.replace(
                _candidate(storage, m, stored, attested.get(m.id, []), level, marked),
                lost=str(lost.get(m.id, "")),
            )
            for m in manifests
        ]
    )


def _candidate(
    storage: Storage,
    manifest: Manifest,
    stored: Mapping[str, float | None],
    records: list[dict[str, Any]],
    level: int,
    marked: set[str],
) -> Candidate:
    """Committed is the signed moment, unless that lies after the store says it was stored."""
    at = stored.get(manifest.where.manifest)
    verified = best(records)
    deep = verified is not None and verified.level >= level
    held = hold_of(storage, manifest.where) if manifest.id in marked else None
    return Candidate(
        id=manifest.id,
        kind=manifest.kind,
        parent=manifest.parent,
        committed=manifest.finished if at is None else min(manifest.finished, at),
        source_bytes=manifest.source_bytes,
        stored_bytes=manifest.stored_bytes,
        verified=verified.at if verified is not None and deep else None,
        failed=failed_at(records),
        hold=None if held is None else f"{held.reason} ({held.by}, {held.at})",
    )


def _level(declared: Declared) -> int:
    """The deepest level here that the tier asks for; sizes alone (0) prove no restore."""
    return max(1, wanted_level(declared))


def _rests(
    catalogue: Catalogue, db: str, objects: Sequence[ObjectInfo], committed: set[str]
) -> Iterator[Manifest]:
    """Deletions that were interrupted after the manifest went."""
    for each in objects:
        match = _MARK.fullmatch(each.key)
        if match is None or match["id"] in committed:
            continue
        manifest = believed_rest(catalogue, match["id"])
        if manifest is not None and manifest.db == db:
            _must_be_gone(catalogue.storage, manifest.where.manifest)
            yield manifest


def _must_be_gone(storage: Storage, manifest: str) -> None:
    if storage.head(manifest) is not None:
        raise Transient(
            f"{manifest} is there, but not in the store's list; nothing was deleted, run it again"
        )


def _others(objects: Sequence[ObjectInfo]) -> dict[str, tuple[str, ...]]:
    """What goes with each backup beside its manifest, volumes and key."""
    found: dict[str, list[str]] = {}
    for each in objects:
        place, beside = backup_of(each.key), _BESIDE.fullmatch(each.key)
        if place is not None:
            found.setdefault(place[1], []).append(each.key)
        elif beside is not None and not each.key.endswith("/hold.json"):
            found.setdefault(beside["id"] or beside["key"], []).append(each.key)
    return {id_: tuple(keys) for id_, keys in found.items()}


def _failure(job: Job, db: str, history: History, orphans: Sequence[Orphan]) -> str:
    """How the newest attempt at a backup ended badly: by this host's facts, by what it left."""
    newest = history.backups[-1].committed if history.backups else 0.0
    attempt = last_run(job, db).get("attempt") or {}
    code, at = attempt.get("exit_code", 0), float(attempt.get("at", 0.0))
    if code not in {0, Locked.exit_code} and at > newest:
        return f"the newest attempt at a backup ({stamp(at)}) ended with exit code {code}"
    for each in orphans:
        if each.what == "backup" and each.reason.code != "busy" and each.newest > newest:
            return f"{each.name} was begun after the newest backup and never ended"
    return ""


def _unreadable(faults: Sequence[Fault]) -> str:
    """A backup that may build on others, and does not say on which."""
    for each in faults:
        place = backup_of(each.object)
        if place is not None and "-full-" not in place[1]:
            return each.object
    return ""


def _busy(storage: Storage, db: str, objects: Sequence[ObjectInfo], now: float) -> str:
    """Who holds a lease of this database now; one that cannot be read counts as held."""
    for each in objects:
        if each.key == f"{_LOCKS}{db}/archive.json":
            continue  # it follows the log all day and makes no backup
        if each.key.startswith(f"{_LOCKS}{db}/") and each.key.endswith(".json"):
            try:
                claim = parse_claim(storage.get(each.key), each.key)
            except KeyError:
                continue
            if claim.live(now):
                return f"spared: {claim}"
    return ""
