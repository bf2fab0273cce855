"""Since which backup can what moment be restored, and which segments are missing for that?"""

from __future__ import annotations

from dataclasses import dataclass

from sre.backup.catalogue import Catalogue, Damaged
from sre.backup.log.coverage import Coverage
from sre.backup.log.lsn import parse_lsn
from sre.backup.log.reading import LogReader
from sre.backup.manifest import Manifest
from sre.backup.records import Fault
from sre.core.errors import IntegrityError, UsageError

__all__ = ["Base", "Window", "bases", "windows"]


@dataclass(frozen=True)
class Base:
    """A physical backup as the log sees it: replay begins at `start`, targets lie after `stop`."""

    manifest: Manifest
    timeline: int
    start: int
    stop: int


@dataclass(frozen=True)
class Window:
    """From a backup on, any moment up to `until` can be restored.

    Attributes:
        since, until: Unix seconds; the backup's own moment where nothing measured a later one.
        cover: positions and holes; replay from this backup ends at the first hole.
    """

    base: Base
    cover: Coverage
    since: float
    until: float


def bases(catalogue: Catalogue, db: str, place: str) -> tuple[list[Base], list[Fault]]:
    """The backups of a server from which log is replayed, oldest first, and what does not count."""
    found, faults = list[Base](), list[Fault]()
    for each in catalogue.places(db):
        if each.system != place:
            continue
        try:
            base = base_of(catalogue.known(each))
        except Damaged as error:
            faults.append(error.fault)
            continue
        if base is not None:
            found.append(base)
    return sorted(found, key=lambda base: (base.manifest.finished, base.manifest.id)), faults


def base_of(manifest: Manifest) -> Base | None:
    """None when the dump said no positions: it is not a physical copy."""
    said = manifest.dump
    try:
        return Base(
            manifest,
            int(said["timeline"]),
            parse_lsn(str(said["start_lsn"])),
            parse_lsn(str(said["stop_lsn"])),
        )
    except (KeyError, ValueError, UsageError):
        return None


def windows(reader: LogReader, found: list[Base]) -> list[Window]:
    """For each backup how far its log reaches. Raises Damaged when a history is not genuine."""
    result = []
    for base in found:
        if not reader.items or not (reader.held.whole or reader.held.partial):
            break
        cover = reader.coverage(base.timeline, base.start)
        until = base.manifest.consistent
        if cover.items and cover.end > base.stop:
            until = max(until, _upto(reader, cover) or until)
        result.append(Window(base, cover, base.manifest.consistent, until))
    return result


def _upto(reader: LogReader, cover: Coverage) -> float | None:
    """By the last piece's own record; one that is not genuine dates nothing."""
    for item in reversed(cover.items[-2:]):
        try:
            upto = reader.record(item.name).upto
        except IntegrityError:
            continue
        if upto is not None:
            return upto
    return None
