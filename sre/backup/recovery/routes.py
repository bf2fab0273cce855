"""From which backup, and over which log, does a database get to a moment?"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from sre.backup.attest import all_of, failed_at
from sre.backup.catalogue import Catalogue
from sre.backup.condition import conditions
from sre.backup.job import Job
from sre.backup.job import Target as Found
from sre.backup.layout import ID, stamp
from sre.backup.log.coverage import Coverage
from sre.backup.log.lsn import format_lsn, parse_lsn
from sre.backup.log.reading import LogReader
from sre.backup.log.timelines import Way
from sre.backup.manifest import Manifest
from sre.backup.model import Declared
from sre.backup.records import Fault
from sre.backup.recovery.target import LATEST, OWN_END, Target
from sre.core.errors import CheckFailed, Refused

__all__ = ["Route", "Routes", "nearest", "routes_to", "unfit"]


@dataclass(frozen=True)
class Route:
    """A backup, and the log that follows it.

    Attributes:
        cover: how far the log reaches from the backup's start; None without one.
    """

    found: Found
    manifest: Manifest
    reader: LogReader | None = None
    cover: Coverage | None = None

    @property
    def stop(self) -> int:
        """The position from which on a restore of it is consistent."""
        return parse_lsn(self.manifest.dump["stop_lsn"])

    @property
    def way(self) -> Way | None:
        """The timelines through which it leads."""
        return self.cover.way if self.cover is not None else None

    @property
    def end(self) -> int:
        """The last position to which it leads."""
        return max(self.stop, self.cover.end) if self.cover is not None else self.stop


@dataclass
class Routes:
    """What was found.

    Attributes:
        aim: the target, `latest` made plain.
        fitting: the ways to try, best first.
        others: backups from which the target cannot be reached.
        notes: what was passed over, and why.
        searched: ways on which what is looked for does not stand, from the backup's end on.
    """

    declared: Declared
    aim: Target
    fitting: list[Route] = field(default_factory=list)
    others: list[Route] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    searched: list[Route] = field(default_factory=list)

    def pass_over(self, route: Route, error: Exception, *, searched: bool) -> None:
        """Say why a way was not it; `searched`: what is looked for does not stand on it."""
        self.notes.append(f"{route.manifest.id} was passed over: {error}")
        if searched:
            self.searched.append(route)

    def before(self, route: Route) -> int | None:
        """Where the log was searched already from there on; None: nowhere."""
        same = (
            each for each in self.searched if each.reader is route.reader and each.way == route.way
        )
        return min((each.stop for each in same if each.stop >= route.stop), default=None)


def routes_to(job: Job, target: str, aim: Target) -> Routes:
    """The ways to a moment from a database's backups, or from the one with that id.

    Without a moment a database leads to everything archived, where there is an archive.

    Raises:
        Refused: no backup leads there; the nearest possible moments are named.
        UsageError: there is no backup; Damaged: the only one does not count.
    """
    found = job.find(target)
    declared = found.declared
    if ID.fullmatch(target):
        routes, notes = [_route(job, found, aim)], list[str]()
    else:
        routes, notes = _all(job, declared, found.catalogue, aim)
        if aim == OWN_END and any(each.cover for each in routes):
            aim = LATEST
        elif aim == OWN_END or not routes:
            chosen = found.catalogue.newest_good(target)  # or what is wrong with all of them
            notes += chosen.notes
            routes = [_route(job, dataclasses.replace(found, place=chosen.manifest.where), aim)]
    known = Routes(declared, aim, notes=notes)
    for route in routes:
        why = unfit(route, aim)
        (known.others if why else known.fitting).append(route)
    if not known.fitting:
        raise Refused(f"{aim} cannot be reached: {_why(routes, aim)}")
    return known


def unfit(route: Route, aim: Target) -> str:
    """Why a moment cannot be reached from a backup; empty when it can, as far as names tell."""
    if aim == OWN_END:
        return ""
    if route.cover is None:
        return "no log is archived after it"
    if aim.lsn is not None:
        if aim.lsn < route.stop:
            return f"it ends at {format_lsn(route.stop)}, after that"
        if aim.lsn > route.cover.end:
            return f"its log reaches {format_lsn(route.cover.end)}{_hole(route)}"
    if aim.time is not None and aim.time < route.manifest.consistent - _CLOCKS:
        return f"it ends at {stamp(route.manifest.consistent)}, after that"
    return ""


_CLOCKS = 5.0
"""Seconds by which our clock and the server's may differ here; PostgreSQL itself decides."""


def nearest(routes: list[Route], aim: Target) -> str:
    """The moments next to a target that can be reached, in words."""
    if aim.lsn is not None:
        spans = sorted((each.stop, each.end) for each in routes)
        before = [end for stop, end in spans if stop <= aim.lsn]
        after = [stop for stop, _ in spans if stop > aim.lsn]
        words = [f"--lsn {format_lsn(min(max(before), aim.lsn))}"] if before else []
        words += [f"--lsn {format_lsn(min(after))}"] if after else []
        return " and ".join(words)
    moments = sorted(each.manifest.consistent for each in routes)
    time = aim.time if aim.time is not None else moments[0]
    near = [*[at for at in moments if at <= time][-1:], *[at for at in moments if at > time][:1]]
    return " and ".join(f"--at {stamp(at)}" for at in near)


def _why(routes: list[Route], aim: Target) -> str:
    """Of the backup that comes closest."""
    closest = next((r for r in routes if r.cover and not _before(r, aim)), routes[-1])
    return (
        f"backup {closest.manifest.id}: {unfit(closest, aim)}; the nearest possible: "
        f"{nearest(routes, aim)}"
    )


def _before(route: Route, aim: Target) -> bool:
    if aim.lsn is not None:
        return aim.lsn < route.stop
    return aim.time is not None and aim.time < route.manifest.consistent


def _hole(route: Route) -> str:
    gaps = route.cover.gaps if route.cover is not None else ()
    if not gaps:
        return ", nothing newer is archived"
    gap = gaps[0]
    return (
        f", then {gap.segments} segments are missing, from {gap.first} to {gap.last} "
        f"(up to {format_lsn(gap.end)})"
    )


def _all(
    job: Job, declared: Declared, catalogue: Catalogue, aim: Target
) -> tuple[list[Route], list[str]]:
    """Of every backup that counts, newest first; those that failed their verification last."""
    routes, suspects, notes = list[Route](), list[Route](), list[str]()
    failed = {key for key, records in all_of(catalogue).items() if failed_at(records) is not None}
    marked = conditions(catalogue.storage, catalogue.trusted)
    readers: dict[str, LogReader] = {}
    for each in catalogue.listed([declared.name]):
        if isinstance(each, Fault):
            notes.append(f"{each.object} was passed over: {each.problem}")
            continue
        found = Found(declared, each.where, catalogue)
        try:
            route = _route(job, found, aim, each, readers)
        except (CheckFailed, Refused) as error:
            notes.append(f"{each.id} was passed over: {error}")
            continue
        if each.id in marked and marked[each.id].kind == "shredded":
            notes.append(f"{each.id} was passed over: {marked[each.id]}")
        elif each.id in {*failed, *marked} and aim != OWN_END:
            notes.append(f"{each.id} failed its verification: it is tried last")
            suspects.append(route)
        else:
            routes.append(route)
    newest = sorted(routes, key=lambda r: (r.manifest.finished, r.manifest.id), reverse=True)
    return [*newest, *reversed(suspects)], notes


def _route(
    job: Job,
    found: Found,
    aim: Target,
    manifest: Manifest | None = None,
    readers: dict[str, LogReader] | None = None,
) -> Route:
    manifest = manifest or found.catalogue.manifest(found.place)
    dump = manifest.dump
    if manifest.engine != "postgres" or not {"timeline", "stop_lsn"} <= dump.keys():
        return Route(found, manifest)
    prefix = f"v1/{manifest.db}/{manifest.place}/"
    known = readers if readers is not None else {}
    reader = known.get(prefix)
    if reader is None:
        reader = known[prefix] = LogReader(found.catalogue.storage, job.backups.keys, prefix)
    if not any(each.kind != "history" for each in reader.items):
        return Route(found, manifest)
    # its log from start to stop stands in the backup itself: what follows its end counts
    stop = parse_lsn(dump["stop_lsn"])
    return Route(
        found, manifest, reader, reader.coverage(int(dump["timeline"]), stop, aim.timeline)
    )
