"""How does the log come beside an unpacked backup, and through it to the wanted moment?"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from sre.backup.catalogue import Damaged
from sre.backup.databases.pgrecover import NotReached, Replayed
from sre.backup.databases.pgspaces_guard import made_in
from sre.backup.job import Job
from sre.backup.log.lsn import format_lsn, parse_lsn
from sre.backup.records import Fault, Restored
from sre.backup.recovery.aim import Log, settled
from sre.backup.recovery.engine import Replays
from sre.backup.recovery.order import Finder, Found
from sre.backup.recovery.routes import Route, Routes
from sre.backup.recovery.run import leave_to_user, quiet, replay
from sre.backup.recovery.target import Target
from sre.backup.restoring.chain import Chain
from sre.backup.restoring.phases import Phases
from sre.backup.verifying.scratch import scratch
from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, MissingExtra, Refused, UsageError

__all__ = ["Way", "get_log", "must_not_meet", "restored_to", "said"]

_HISTORY = "history"
_LEFT = (
    "its server replays the log in sre_wal when it is started, and opens at the target; "
    "remove sre_wal after that"
)
_LOOK_SECONDS = 3600.0


@dataclass(frozen=True)
class Aimed:
    """A target as PostgreSQL can be told it, and what was found out on the way."""

    target: Target
    order: Found | None = None


def get_log(
    job: Job, routes: Routes, route: Route, chain: Chain, box: Path, phases: Phases
) -> tuple[Log, Aimed]:
    """Fetch the log into `box`, and find what is searched in it.

    Raises:
        NotHere: it does not stand in this log; Refused: the log ends before the target.
        Damaged: an object of the log.
    """
    database = routes.declared.database
    assert isinstance(database, Replays)  # noqa: S101  Way.possible looked
    with phases.phase("log"):
        log = _fetched(route, routes.aim, routes.before(route), box / "wal", database)
    try:
        return _aimed(job, routes, chain, log, box, phases)
    except Refused as error:  # what was searched may stand behind the damage
        if log.damaged is None:
            raise
        raise Damaged(log.damaged) from error


def _aimed(
    job: Job, routes: Routes, chain: Chain, log: Log, box: Path, phases: Phases
) -> tuple[Log, Aimed]:
    if routes.aim.order is not None:
        with phases.phase("search"):
            finder = Finder(job, routes.declared, chain, log, box, routes.aim.timeline)
            found = finder.find(routes.aim.order)
        aim = dataclasses.replace(routes.aim, lsn=found.lsn, inclusive=False)
        return dataclasses.replace(log, damaged=None), Aimed(aim, found)
    with phases.phase("search"):
        target = settled(log, routes.aim)
    if not routes.aim.latest:  # it lies before any damage
        log = dataclasses.replace(log, damaged=None)
    return log, Aimed(target)


def restored_to(routes: Routes, route: Route, draft: Path, folder: Path, port: int) -> Restored:
    """What can be said before the log is looked at."""
    manifest = route.manifest
    real = (draft / "global" / "pg_control").exists()
    notes: tuple[str, ...] = ()
    if real and not (draft / "postgresql.conf").exists():
        notes = (
            "the configuration of this server stands outside of its data folder, not in the "
            "backup: start it with -c config_file=…",
        )
    return Restored(
        manifest.id, manifest.db, str(folder), manifest.source_bytes, 0.0, manifest.consistent,
        target=str(routes.aim), port=port if real else None, notes=notes,
    )  # fmt: skip


@dataclass(frozen=True)
class Way:
    """From an unpacked backup to a moment."""

    route: Route
    log: Log
    aim: Aimed
    phases: Phases

    @staticmethod
    def possible(route: Route, *, recover: bool) -> None:
        """Whether the programs are here, before anything is fetched.

        Raises UsageError for a kind whose log is not archived, MissingExtra without the programs.
        """
        database = route.found.declared.database
        if not isinstance(database, Replays):
            raise UsageError(f"databases of the kind {route.manifest.engine} go to no moment")
        if not recover:
            return
        try:
            database.tools(route.manifest.version.split(".")[0], ("postgres", "pg_controldata"))
        except MissingExtra as error:
            raise MissingExtra(
                f"{error}; or say --no-recover: then the server where you start it replays the log"
            ) from None

    def go(self, draft: Path, done: Restored, port: int, *, recover: bool) -> Restored:
        """Replay, or leave that to the user's server; what came of it."""
        old, timeline = said(draft), self._timeline
        short = self._cut()
        notes = (*done.notes, *([short] if short else []))
        done = dataclasses.replace(
            done,
            notes=notes,
            short=bool(short),
            order=self.aim.order.words if self.aim.order else {},
        )
        if not recover:
            leave_to_user(draft, self.log.folder, self.aim.target, timeline, old, port)
            if self.log.tools is not None:  # else nobody can tell
                must_not_meet(draft, self.log.tools)
            return dataclasses.replace(done, notes=(*done.notes, _LEFT))
        database = self.route.found.declared.database
        assert isinstance(database, Replays)  # noqa: S101  `possible` looked
        with self.phases.phase("replay"):
            try:
                found = replay(database, draft, self.log.folder, self.aim.target, timeline)
            except NotReached as error:
                raise Refused(
                    f"{done.target} cannot be reached: {error}; it ends at "
                    f"{format_lsn(self.log.end)}; the nearest possible: --latest"
                ) from None
        self._must_have_all(found)
        quiet(draft, old, port)
        return dataclasses.replace(
            done, recovered=True, lsn=found.lsn, newest=found.newest, stopped=found.stopped
        )

    @property
    def _timeline(self) -> int:
        cover = self.route.cover
        assert cover is not None  # noqa: S101  there is a log
        return cover.way.timeline

    def _cut(self) -> str:
        """What is missing when all that is archived was asked for, and the log has a hole."""
        cover = self.route.cover
        if self.log.damaged is not None:
            fault = self.log.damaged
            return f"the log ends early, {fault.object}: {fault.problem}"
        if cover is None or not cover.gaps or not self.aim.target.latest:
            return ""
        gap = cover.gaps[0]
        return (
            f"the log has a hole: {gap.segments} segments from {gap.first} to {gap.last} are "
            f"missing; this is the state at {format_lsn(cover.end)}"
        )

    def _must_have_all(self, found: Replayed) -> None:
        """That replay did not end early where everything was asked for."""
        target, reader = self.aim.target, self.route.reader
        if target.exact or reader is None or not found.lsn or not self.log.wal_there:
            return
        if parse_lsn(found.lsn) < self.log.end - 4 * reader.size:
            raise CheckFailed(
                f"replay ended at {found.lsn}, but the log reaches {format_lsn(self.log.end)}; "
                "verify the backup and look at the log"
            )


def _fetched(route: Route, aim: Target, before: int | None, folder: Path, database: Replays) -> Log:
    """`before`: what is searched does not stand behind that position."""
    reader, cover = route.reader, route.cover
    folder.mkdir(mode=0o700)
    try:
        tools = database.tools(route.manifest.version.split(".")[0], ("pg_waldump",))
    except MissingExtra:
        tools = None
    if reader is None or cover is None or not cover.items:
        return Log(route, folder, tools, route.stop, None)
    until = None
    upto = before if aim.searched is not None else aim.lsn
    if upto is not None:
        until = min(cover.end, upto + 2 * reader.size)
    timeline = int(route.manifest.dump["timeline"])
    got = reader.fetch(route.stop, timeline, until, folder, target=aim.timeline, up_to_damage=True)
    damaged = got.damaged
    if damaged is not None:
        words = f"{damaged.problem}; before it the log leads to --lsn {format_lsn(got.end)}"
        damaged = Fault(damaged.object, words)
        if aim.lsn is not None and aim.lsn > got.end:
            raise Damaged(damaged)
    for item in reader.items:
        if item.kind == _HISTORY and not (folder / item.name).exists():
            (folder / item.name).write_bytes(reader.open(item.name))
    return Log(route, folder, tools, got.end, got.upto, damaged)


def must_not_meet(draft: Path, tools: Path) -> None:
    """That a server which replays here does not write into a tablespace that is here already.

    Raises Refused.
    """
    with scratch() as work:
        made = made_in(draft, work, tools, Deadline.after(_LOOK_SECONDS))
    for oid, path in made:
        if Path(path).exists():
            raise Refused(
                f"the log makes a tablespace ({oid}) at {path!r}, which is there on this machine: "
                "a server started here would write into it; take a new full backup, which has it "
                "inside, or restore on another machine"
            )


def said(draft: Path) -> str:
    """What ALTER SYSTEM had set at the source; empty when nothing."""
    try:
        return (draft / "postgresql.auto.conf").read_text("utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return ""
