"""Would the log reach the time that is asked for? What a dry run answers, with nothing restored.

The same judgement as a restore's (`aim.settled`), over the end of the log alone: as much of it is
fetched into a scratch folder as it takes to find its newest transaction.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from sre.backup.log.coverage import Coverage
from sre.backup.log.reading import LogReader
from sre.backup.recovery.aim import Log, settled
from sre.backup.recovery.engine import Replays
from sre.backup.recovery.routes import Route, Routes
from sre.backup.recovery.target import Target
from sre.backup.verifying.scratch import scratch
from sre.core.errors import MissingExtra

__all__ = ["foresee"]

_FACTOR = 8
"""Each further look reads so many times more than the one before."""


def foresee(routes: Routes, route: Route) -> None:
    """Whether a time can be reached over a route. Positions are known to `routes_to` already.

    Raises:
        Refused: the log ends before it; the latest possible time is named.
        Damaged: the end of the log is damaged, or does not open here.
        Transient: the store does not answer, or the disk is full.
    """
    aim, reader, cover = routes.aim, route.reader, route.cover
    if aim.time is None:
        return
    if reader is None or cover is None or not cover.items:
        settled(Log(route, Path(), None, route.stop, None), aim)
        return
    upto = reader.record(cover.items[-1].name).upto
    if aim.time <= max(upto or 0.0, route.manifest.consistent):
        return
    _by_its_end(route, reader, cover, aim, _tools(routes, route))


def _tools(routes: Routes, route: Route) -> Path | None:
    database = routes.declared.database
    try:
        if isinstance(database, Replays):
            return database.tools(route.manifest.version.split(".")[0], ("pg_waldump",))
    except MissingExtra:
        pass  # then a restore leaves it to PostgreSQL, and so do we
    return None


def _by_its_end(
    route: Route, reader: LogReader, cover: Coverage, aim: Target, tools: Path | None
) -> None:
    """From the last pieces back, until there is a transaction or nothing more."""
    if tools is None:
        return
    count = 2
    while True:
        tail = _tail(cover, reader.size, count)
        with scratch() as work:
            folder = work / "wal"
            timeline = tail.way.timeline_of(tail.begin // reader.size, reader.size)
            got = reader.fetch(tail.begin, timeline, tail.end, folder, target=tail.way.timeline)
            end = dataclasses.replace(route, cover=tail)
            log = Log(end, folder, tools, got.end, got.upto)
            if tail.begin == cover.begin or log.wal.newest()[0] is not None:
                settled(log, aim)
                return
        count *= _FACTOR


def _tail(cover: Coverage, size: int, count: int) -> Coverage:
    """The last `count` segments of it."""
    begin = max(cover.begin, (cover.end - 1) // size * size - (count - 1) * size)
    items = cover.items[-count:] if begin > cover.begin else cover.items
    return dataclasses.replace(cover, begin=begin, items=items)
