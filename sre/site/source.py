"""What does the other region have for a cluster that is lost? (effects; reads only)"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sre.backup.job import Job
from sre.backup.log.lsn import format_lsn
from sre.backup.model import Declared
from sre.backup.recovery.routes import Route
from sre.backup.recovery.target import parse_target
from sre.backup.restoring.restore import Wish, plan_route
from sre.core.errors import SreError, UsageError
from sre.failover.model import Declared as Cluster

__all__ = ["Source", "database_for"]

_SEGMENT = 16 * 2**20
_SPARE = 512 * 2**20
"""Bytes beside the data: what a server writes while it comes up."""


@dataclass(frozen=True)
class Source:
    """A database's backups and log in one store, and the moment that is wanted.

    Attributes:
        job: looks into that store for every database.
        at: as `sre backup restore --at` takes it; empty: everything that is there.
    """

    job: Job
    database: str
    at: str = ""

    @property
    def declared(self) -> Declared:
        """The database. Raises UsageError."""
        return self.job.declared(self.database)

    @property
    def store(self) -> str:
        """The name of the store."""
        return self.declared.store_name

    def wish(self, owner: int | None = None) -> Wish:
        """How it is restored. Raises UsageError: the time cannot be read."""
        if not self.at:
            return Wish(owner=owner)
        return Wish(parse_target(at=self.at), owner)

    def look(self) -> Mapping[str, Any]:
        """What would be restored; JSON. What stands against it is in `problem`."""
        about: dict[str, Any] = {
            "store": self.store, "database": self.database, "at": self.at, "problem": "",
            "invariants": len(self.declared.invariants),
            "identity": self.job.backups.keys.identity is not None, **self._archived(),
        }  # fmt: skip
        try:
            routes, route, _ = plan_route(self.job, self.database, None, self.wish())
        except UsageError as error:
            return {**about, "problem": str(error), "kind": "unknown"}
        except SreError as error:
            return {**about, "problem": str(error), "kind": type(error).__name__.lower()}
        return {**about, **_of(route), "target": str(routes.aim), "notes": list(routes.notes)}

    def _archived(self) -> Mapping[str, Any]:
        """Up to when the first store had everything, as its archiver last said on this host."""
        fact = self.job.facts.read(f"backup/{self.database}/log")
        last = fact.value.get("last") if fact is not None else None
        return {"archived_upto": last}


def _of(route: Route) -> Mapping[str, Any]:
    manifest = route.manifest
    log = len(route.cover.items) if route.cover is not None else 0
    size = route.reader.size if route.reader is not None and log else _SEGMENT
    return {
        "id": manifest.id,
        "engine": manifest.engine,
        "version": manifest.version,
        "bytes": manifest.source_bytes,
        "needed": manifest.source_bytes + 2 * log * size + _SPARE,
        "consistent": manifest.consistent,
        "tablespaces": sorted(manifest.dump.get("tablespaces", {})),
        "end": route.end if "stop_lsn" in manifest.dump else 0,
        "lsn": format_lsn(route.end) if "stop_lsn" in manifest.dump else "",
        "log": log,
    }


def database_for(job: Job, cluster: Cluster, given: str | None) -> str:
    """The database of sre.yaml that is a cluster's: the one named, the one that is named as the
    cluster, or the only one of its kind. Raises UsageError."""
    if given is not None:
        return job.declared(given).name
    known = sorted(n for n, each in job.backups.databases.items() if each.kind == cluster.kind)
    if cluster.name in known:
        return cluster.name
    if len(known) == 1:
        return known[0]
    listed = ", ".join(known) or f"none of kind {cluster.kind}; declare one under databases:"
    raise UsageError(f"say which database is restored: --database NAME; known: {listed}")
