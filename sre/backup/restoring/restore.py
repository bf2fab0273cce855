"""How does a backup become a folder again: all of it, checked, at the wanted moment, or nothing?"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sre.backup.audit.doing import audited
from sre.backup.catalogue import Damaged
from sre.backup.databases.pgrecover import TooEarly
from sre.backup.job import Job
from sre.backup.records import Restored
from sre.backup.recovery.aim import NotHere
from sre.backup.recovery.routes import Route, Routes, routes_to
from sre.backup.recovery.run import choose_port, quiet
from sre.backup.recovery.target import OWN_END, Target
from sre.backup.restoring.chain import Chain, extract_surely, open_chain
from sre.backup.restoring.fetching import fetch_kept
from sre.backup.restoring.foreseeing import foresee
from sre.backup.restoring.landing import beside, give, land, must_be_free
from sre.backup.restoring.phases import Phases
from sre.backup.restoring.replaying import Way, get_log, restored_to, said
from sre.backup.restoring.spaces import moved, spaces_free
from sre.core.errors import Refused

__all__ = ["Wish", "open_route", "plan_restore", "plan_route", "restore_to"]

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Wish:
    """How the restored database shall be.

    Attributes:
        aim: to which moment; the end of the backup, or everything archived, when it says nothing.
        owner: uid that gets the files.
        port: for its configuration; None: a free one.
        recover: replay the log here; else the user's server does so when it is started.
        spaces: where tablespaces go, by oid or by their place at the source; else inside.
    """

    aim: Target = OWN_END
    owner: int | None = None
    port: int | None = None
    recover: bool = True
    spaces: Mapping[str, Path] = field(default_factory=dict)


def restore_to(
    job: Job,
    target: str,
    folder: Path,
    *,
    owner: int | None = None,
    wish: Wish | None = None,
    progress: Callable[[Chain], Progress] = lambda _chain: lambda _count: None,
) -> Restored:
    """Restore a database's newest backup, or the one with that id, into a folder.

    The folder must be absent or empty. Everything is written beside it, checked while it streams,
    replayed to the wanted moment, made durable, and only then given its name; until then the
    target is untouched.

    Raises:
        Refused: something is there, there is too little space, or the moment cannot be reached.
        Damaged: the manifest, the key or a volume is not what it should be, or cannot be opened.
        Transient: the store does not answer, or the disk is full.
        MissingExtra: the engine's programs are not here.
    """
    folder, wish, began = folder.absolute(), wish or Wish(owner=owner), job.clock.now()
    must_be_free(folder)
    spaces_free(wish.spaces, folder)
    routes, port = routes_to(job, target, wish.aim), choose_port(wish.port)
    tried, store = list(routes.fitting), routes.declared.store_name
    while True:
        route = tried.pop(0)
        job.note("restore started", id=route.manifest.id, db=route.manifest.db, to=str(folder))
        try:
            with audited(job, store, "restore", route.manifest.id, str(folder)):
                done = _Restore(job, routes, route, folder, wish, port).run(progress)
        except (Damaged, TooEarly, NotHere) as error:
            job.note("restore failed", id=route.manifest.id, error=str(error))
            if not tried or routes.aim == OWN_END:
                raise
            routes.pass_over(route, error, searched=isinstance(error, NotHere))
            continue
        job.note("restored", id=done.id, db=done.db, to=str(folder), reached=done.lsn)
        return dataclasses.replace(done, seconds=round(job.clock.now() - began, 3))


def plan_restore(job: Job, target: str, folder: Path, wish: Wish | None = None) -> Chain:
    """Everything that can be known before anything is written; raises as `restore_to` does."""
    return plan_route(job, target, folder, wish or Wish())[2]


def plan_route(
    job: Job, target: str, folder: Path | None, wish: Wish
) -> tuple[Routes, Route, Chain]:
    """As `plan_restore`, with the backup and the log that would be taken."""
    if folder is not None:
        must_be_free(folder.absolute())
        spaces_free(wish.spaces, folder.absolute())
    choose_port(wish.port)
    routes = routes_to(job, target, wish.aim)
    for index, route in enumerate(routes.fitting):
        try:
            chain = open_route(job, route)
            foresee(routes, route)
        except Damaged as error:
            if routes.aim == OWN_END or index + 1 == len(routes.fitting):
                raise
            routes.notes.append(f"{route.manifest.id} was passed over: {error}")
            continue
        return routes, route, chain
    raise Refused("no backup leads there")


def open_route(job: Job, route: Route) -> Chain:
    """The chain of a route's backup, opened. Raises Damaged."""
    return open_chain(route.found.catalogue, route.found.place, job.backups.keys)


@dataclass(frozen=True)
class _Restore:
    """One try, over one route."""

    job: Job
    routes: Routes
    route: Route
    folder: Path
    wish: Wish
    port: int

    def run(self, progress: Callable[[Chain], Progress]) -> Restored:
        """Everything beside the folder, then its name."""
        phases, aim = Phases(self.job.clock), self.routes.aim
        chain = open_route(self.job, self.route)
        if aim != OWN_END:
            Way.possible(self.route, recover=self.wish.recover)
        with beside(self.folder, _needed(self.route, chain, aim)) as box:
            draft = box / "data"
            draft.mkdir(mode=0o700)
            log = None
            if aim != OWN_END:
                log = get_log(self.job, self.routes, self.route, chain, box, phases)
            with phases.phase("unpack"):
                self._unpack(chain, draft, progress(chain))
            done = restored_to(self.routes, self.route, draft, self.folder, self.port)
            if log is not None:
                way = Way(self.route, *log, phases)
                done = way.go(draft, done, self.port, recover=self.wish.recover)
            elif (draft / "global" / "pg_control").exists():
                quiet(draft, said(draft), self.port)
            with phases.phase("sync"):
                self._land(draft, chain)
        notes = (*self.routes.notes, *done.notes)
        return dataclasses.replace(done, phases=phases.seconds, notes=notes)

    def _unpack(self, chain: Chain, draft: Path, progress: Progress) -> None:
        for fault in extract_surely(chain, draft, None, progress):
            raise Damaged(fault)
        fetch_kept(self.routes.declared, chain.manifest, draft, self.job.clock)

    def _land(self, draft: Path, chain: Chain) -> None:
        owner = self.wish.owner
        if owner is None and os.geteuid() == 0:
            owner = os.geteuid()
        if owner is not None:
            give(draft, owner)
        with moved(draft, self.wish.spaces, chain.manifest, owner):
            land(draft, self.folder)


def _needed(route: Route, chain: Chain, aim: Target) -> int:
    """Bytes that a restore takes at most: the log stands there twice for a moment."""
    data = max(each.manifest.source_bytes for each in chain.links)
    if aim == OWN_END or route.cover is None or route.reader is None:
        return data
    return data + 2 * len(route.cover.items) * (route.reader.size if route.cover.items else 0)
