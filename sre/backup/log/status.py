"""How far does a database's log reach in its store, and how does its server see that?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sre.backup.databases.pgdsn import reveal
from sre.backup.job import Job
from sre.backup.layout import database_of
from sre.backup.log.coverage import Gap
from sre.backup.log.layout import log_place
from sre.backup.log.places import early_seconds, server_of, slot_name, spool_folder
from sre.backup.log.reading import LogReader
from sre.backup.log.server import Identity, Slot, identify, slot_of
from sre.backup.log.states import Stretch, stretches
from sre.backup.log.survey import Window, bases, windows
from sre.backup.model import Declared
from sre.core.errors import SreError, UsageError
from sre.core.units import format_duration

__all__ = ["LogStatus", "log_status"]

_SILENT = 30.0
"""Seconds; an archiver says every five how it stands."""


@dataclass(frozen=True)
class LogStatus:
    """All of it.

    Attributes:
        server: why the server could not be asked; empty when it answered.
        windows: for each backup, oldest first, how far it can be rolled forward.
        gaps: holes after the newest backup.
        stored: the position up to which the log is stored; None when nothing is.
        current: where the server writes.
        rpo_seconds: how old the newest stored moment is, by the archiver of this host and the time
            since it said so; None without one.
        rpo_target: what the tier allows.
        archiver: `following`, `waiting`, `behind`, `stopped`, `silent` (it ended without a word);
            empty: none ran on this host.
        problem: what it said.
    """

    db: str
    place: str
    server: str
    windows: tuple[Window, ...]
    states: tuple[Stretch, ...]
    gaps: tuple[Gap, ...]
    timeline: int
    stored: int | None
    current: int | None
    slot: Slot | None
    slot_name: str
    rpo_seconds: float | None
    rpo_target: float
    archiver: str
    problem: str
    at: float

    @property
    def full_needed(self) -> bool:
        """Nothing new can be restored to before another full backup."""
        return bool(self.gaps) or not self.windows

    @property
    def good(self) -> bool:
        """Nothing is missing, late or lost, as far as could be asked."""
        late = any(each.state in {"LOST", "DELAYED"} for each in self.states)
        bad_slot = self.slot is not None and self.slot.status in {"lost", "unreserved"}
        lacks = not self.server and self.slot is None
        silent = self.archiver == "silent"
        return not (self.full_needed or late or bad_slot or lacks or silent or self.misses_rpo)

    @property
    def misses_rpo(self) -> bool:
        """More would be lost now than the tier allows; another host's archiver is not judged."""
        known = self.rpo_seconds is not None and self.archiver != "waiting"
        return known and (self.rpo_seconds or 0.0) > self.rpo_target

    @property
    def lag_bytes(self) -> int | None:
        """What the server has written and the store does not have."""
        if self.current is None or self.stored is None:
            return None
        return max(0, self.current - self.stored)


def log_status(job: Job, db: str) -> LogStatus:
    """Ask store and server; changes nothing. A server that is away is named, not an error.

    Raises:
        UsageError: no such database, or no log of it.
        Transient: the store does not answer.
        Damaged: a timeline's history is not genuine.
    """
    declared = job.declared(db)
    dsn = reveal(server_of(declared).dsn)
    identity: Identity | None = None
    slot, server = None, ""
    try:
        identity = identify(dsn)
        slot = slot_of(dsn, slot_name(declared))
    except SreError as error:
        server = str(error).splitlines()[0]
    place = identity.place if identity is not None else _place_in_store(job, declared)
    reader = LogReader(job.storage(declared), job.backups.keys, log_place(db, place).prefix)
    seen = windows(reader, bases(job.catalogue(declared), db, place)[0])
    said = _said(job, db, place)
    newest = seen[-1].cover if seen else None
    return LogStatus(
        db=db,
        place=place,
        server=server,
        windows=tuple(seen),
        states=tuple(_states(job, declared, reader, identity, slot, seen)),
        gaps=newest.gaps if newest is not None else (),
        timeline=newest.way.timeline if newest is not None else 0,
        stored=_stored(reader),
        current=identity.lsn if identity is not None else None,
        slot=slot,
        slot_name=slot_name(declared),
        rpo_seconds=said.get("rpo_seconds"),
        rpo_target=2 * early_seconds(declared),
        archiver=str(said.get("state", "")),
        problem=str(said.get("problem", "")),
        at=job.clock.wall(),
    )


def _said(job: Job, db: str, place: str) -> dict[str, Any]:
    """What an archiver of this host said last of that server, and what its silence since means."""
    fact = job.facts.read(f"backup/{db}/log")
    if fact is None or fact.value.get("place") != place:
        return {}
    said, age = dict(fact.value), fact.age(job.clock)
    if said.get("rpo_seconds") is not None:
        said["rpo_seconds"] += age
    if said.get("state") != "stopped" and age > _SILENT:
        said["state"] = "silent"
        said["problem"] = f"it said nothing for {format_duration(round(age))}: it does not run"
    return said


def _place_in_store(job: Job, declared: Declared) -> str:
    """The server whose log was stored last, when none can be asked."""
    newest, place = "", ""
    for each in job.storage(declared).list(database_of(declared.name)):
        parts = each.key.split("/")
        if len(parts) == 6 and parts[3] == "log" and f"{each.modified or 0:020.3f}" >= newest:
            newest, place = f"{each.modified or 0:020.3f}", parts[2]
    if not place:
        raise UsageError(
            f"no log of {declared.name!r} is stored yet, and its server cannot be asked; "
            f"start: sre backup archive {declared.name}"
        )
    return place


def _states(
    job: Job,
    declared: Declared,
    reader: LogReader,
    identity: Identity | None,
    slot: Slot | None,
    seen: list[Window],
) -> list[Stretch]:
    if not (reader.held.whole or reader.held.partial):
        return []
    held = reader.held
    newest = max(timeline for timeline, _ in (*held.whole, *held.partial))
    way = identity.way if identity is not None else reader.way(newest, 0, newest)
    numbers = held.numbers(way)
    begin = numbers[0] * held.size if numbers else 0
    if seen:
        begin = seen[-1].base.start
    spool: set[str] = set()
    if identity is not None:
        folder = spool_folder(job.state, declared, identity)
        spool = {each.name for each in folder.iterdir()} if folder.is_dir() else set()
    current = identity.lsn if identity is not None else None
    kept = slot.restart if slot is not None else None
    return stretches(held, way, begin, current, kept, spool)


def _stored(reader: LogReader) -> int | None:
    held = reader.held if reader.items else None
    if held is None:
        return None
    ends = [(number + 1) * held.size for _, number in held.whole]
    ends += [number * held.size + item.bytes for (_, number), item in held.partial.items()]
    return max(ends, default=None)
