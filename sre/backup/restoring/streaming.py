"""How does a restored database reach another host, as one tar on standard output?"""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from sre.backup.audit.doing import audited
from sre.backup.catalogue import Damaged
from sre.backup.job import Job
from sre.backup.opening import open_volumes
from sre.backup.outlet import Output
from sre.backup.programs import Tail
from sre.backup.records import Restored
from sre.backup.recovery.target import OWN_END
from sre.backup.restoring.chain import Chain
from sre.backup.restoring.fetching import kept_elsewhere
from sre.backup.restoring.restore import Wish, plan_route, restore_to
from sre.core.child import Child
from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, Refused

__all__ = ["restore_as_tar"]

_SECONDS = 7 * 86400.0

Progress = Callable[[int], None]


def restore_as_tar(
    job: Job,
    target: str,
    out: int,
    wish: Wish,
    *,
    progress: Callable[[Chain], Progress] = lambda _chain: lambda _count: None,
) -> Restored:
    """Write the tar of a restored database to the descriptor `out`.

    A full backup's own end streams straight from the store, checked as it goes: it counts only if
    this returns (the command ends with 0). Everything else is made in a temporary folder first.

    Raises as `restore_to`; Refused on a terminal; CheckFailed when the reader went away.
    """
    if os.isatty(out):
        raise Refused("a tar does not go to a terminal; say: --to - | ssh HOST tar x -C DIR")
    if wish.spaces:
        raise Refused("a tar has no other places for tablespaces: leave out --tablespace-map")
    routes, route, chain = plan_route(job, target, None, wish)
    if routes.aim == OWN_END and len(chain.links) == 1 and not kept_elsewhere(route.manifest):
        began, manifest = job.clock.now(), route.manifest
        job.note("restore started", id=manifest.id, db=manifest.db, to="-")
        with audited(job, routes.declared.store_name, "restore", manifest.id, "-"):
            faults = open_volumes(chain.links[0], into=Output(out), progress=progress(chain))
            if faults:
                raise Damaged(faults[0])
        job.note("restored", id=manifest.id, db=manifest.db, to="-")
        seconds = round(job.clock.now() - began, 3)
        return Restored(
            manifest.id, manifest.db, "-", manifest.source_bytes, seconds, manifest.consistent,
            target=str(routes.aim), notes=tuple(routes.notes),
        )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="sre-restore-") as base:
        done = restore_to(job, target, Path(base) / "data", wish=wish, progress=progress)
        _pack(Path(base) / "data", out, os.geteuid() if wish.owner is None else wish.owner)
    return dataclasses.replace(done, folder="-")


def _pack(folder: Path, out: int, owner: int) -> None:
    said = Tail()
    argv = ["tar", "-c", f"--owner=+{owner}", "-f", "-", "-C", str(folder), "."]
    with Child(argv, stdout=out, stderr=said, env={"LC_ALL": "C"}) as tar:
        code = tar.wait(Deadline.after(_SECONDS))
    if code != 0:
        raise CheckFailed(f"the tar did not get through (exit code {code}): {said.text()}")
