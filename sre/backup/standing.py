"""Which backups can be relied on: to restore from, or to build on? (pure)"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from sre.backup.condition import Condition
from sre.backup.layout import place_of
from sre.backup.manifest import Manifest
from sre.backup.objects import ObjectInfo
from sre.backup.records import Fault, Spoiled
from sre.core.errors import IntegrityError, UsageError

__all__ = ["Chosen", "Standing", "choose", "spoiled_by", "stand"]


@dataclass(frozen=True)
class Standing:
    """The backups of a database.

    Attributes:
        usable: oldest first, by their commit.
        unusable: why not, by id.
        order: the ids of all, oldest first.
    """

    usable: tuple[Manifest, ...]
    unusable: Mapping[str, str] = field(default_factory=dict)
    order: tuple[str, ...] = ()


@dataclass(frozen=True)
class Chosen:
    """The newest usable backup.

    Attributes:
        passed_over: (id, why) of newer ones, the newest first.
    """

    manifest: Manifest
    passed_over: tuple[tuple[str, str], ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """In words, for people."""
        return tuple(f"{id_} was passed over: {why}" for id_, why in self.passed_over)


def stand(
    good: Sequence[tuple[Manifest, ObjectInfo]],
    bad: Sequence[tuple[Fault, ObjectInfo]],
    found: Mapping[str, Condition],
) -> Standing:
    """Judge them. A backup is as old as its signed end, but never newer than the store says."""
    unusable: dict[str, str] = {}
    ages: dict[str, float] = {}
    for fault, info in bad:
        place = place_of(info.key)
        if place is not None:
            unusable[place.id] = f"{fault.object}: {fault.problem}"
            ages[place.id] = info.modified or 0.0
    manifests = {manifest.id: manifest for manifest, _info in good}
    for manifest, info in good:
        stored = manifest.finished if info.modified is None else info.modified
        ages[manifest.id] = min(manifest.finished, stored)
        why = _why_not(manifest, manifests, unusable, found)
        if why:
            unusable[manifest.id] = why
    order = sorted(ages, key=lambda id_: (ages[id_], id_))
    usable = tuple(manifests[id_] for id_ in order if id_ in manifests and id_ not in unusable)
    return Standing(usable, unusable, tuple(order))


def _why_not(
    manifest: Manifest,
    manifests: Mapping[str, Manifest],
    bad: Mapping[str, str],
    found: Mapping[str, Condition],
) -> str:
    """Its own reason, or that of what it builds on; empty for a good one."""
    seen: set[str] = set()
    link: Manifest = manifest
    while True:
        about = "" if link.id == manifest.id else f"it builds on {link.id}, "
        if link.id in found:
            return f"{about}{found[link.id]}"
        seen.add(link.id)
        if link.parent is None:
            return ""
        if link.parent in seen:
            return "it builds on itself"
        if link.parent not in manifests:
            why = bad.get(link.parent, "is not there")
            return f"it builds on {link.parent}, which does not count: {why}"
        link = manifests[link.parent]


def spoiled_by(
    parent: str | None,
    manifests: Mapping[str, Manifest],
    damaged: Collection[str],
    found: Mapping[str, Condition],
) -> Spoiled | None:
    """The nearest of all that a backup with this parent builds on that cannot be relied on."""
    seen: set[str] = set()
    while parent is not None and parent not in seen:
        if parent in found:
            return Spoiled(parent, found[parent].kind)
        if parent not in manifests:
            return Spoiled(parent, "damaged" if parent in damaged else "missing")
        seen.add(parent)
        parent = manifests[parent].parent
    return None


def choose(standing: Standing, db: str) -> Chosen:
    """The newest usable one. Raises as `Catalogue.newest_good`."""
    if not standing.order:
        raise UsageError(f"there is no backup of {db!r} yet; make one: sre backup run {db}")
    if not standing.usable:
        newest = standing.order[-1]
        raise IntegrityError(
            f"none of the {len(standing.order)} backups of {db!r} can be relied on; the newest, "
            f"{newest}: {standing.unusable[newest]}; one of them can be tried by its id"
        )
    manifest = standing.usable[-1]
    newer = standing.order[standing.order.index(manifest.id) + 1 :]
    return Chosen(manifest, tuple((id_, standing.unusable[id_]) for id_ in reversed(newer)))
