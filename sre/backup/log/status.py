"""How far does a database's log reach in its store, and how does its server see that?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sre.backup.databases.pgdsn import reveal
from sre.backup.job import Job
from sre.backup.layout import database_of
from sre.backup.log.coverage import Gap
from sre.backup.log.layout import log_place
from sre.backup.log.places import server_of, slot_name, spool_folder
from sre.backup.log.reading import LogReader
from sre.backup.log.server import Identity, Slot, identify, slot_of
from sre.backup.log.states import Stretch, stretches
from sre.backup.log.survey import Window, bases, windows
from sre.backup.model import Declared
from sre.core.errors import SreError, UsageError

__all__ = ["LogStatus", "log_status"]


@dataclass(frozen=True)
class LogStatus:
    """All of it.

    Attributes:
        server: why the server could not be asked; empty when it answered.
        windows: for each backup, oldest first, how far it can be rolled forward.
        gaps: holes after the newest backup.
        stored: the position up to which the log is stored; None when nothing is.
        current: where the server writes.
        rpo_seconds: as the archiver of this host measured it last; None without one.
        archiver: `following`, `waiting`, `behind`, `stopped`; empty: none ran on this host.
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
        return not (self.full_needed or late or bad_slot or lacks)

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
    found, _ = bases(job.catalogue(declared), db, place)
    seen = windows(reader, found)
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
        archiver=str(said.get("state", "")),
        problem=str(said.get("problem", "")),
        at=job.clock.wall(),
    )


def _said(job: Job, db: str, place: str) -> dict[str, Any]:
    """What an archiver of this host said last of that server."""
    fact = job.facts.read(f"backup/{db}/log")
    return dict(fact.value) if fact is not None and fact.value.get("place") == place else {}


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
