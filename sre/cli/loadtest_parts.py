"""What do the commands of `sre loadtest` share?"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sre.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Container

    from sre.cli.options import Run
    from sre.loadtest.crew.model import Live, Watcher
    from sre.loadtest.guards.promise import Promise
    from sre.loadtest.job import Job
    from sre.settings import Settings

__all__ = ["Progress", "cores", "folder", "guarded", "job_in", "job_of", "promises_of"]


def job_of(run: Run, name: str) -> Job:
    """The declared load test. Raises UsageError when there is none by that name."""
    return job_in(run.settings(), name)


def job_in(settings: Settings, name: str) -> Job:
    """As `job_of`, where the declaration has been read already."""
    from sre.loadtest.job import Job  # noqa: PLC0415

    if name not in settings.loadtests:
        known = ", ".join(settings.loadtests) or "none"
        raise UsageError(f"there is no load test {name!r}; declared under loadtests: {known}")
    test = settings.loadtests[name]
    if test.kill_file is not None:
        test = replace(test, kill_file=str((settings.path.parent / test.kill_file).absolute()))
    promises = promises_of(settings, test.mix or test.journeys or settings.journeys)
    return Job(name, test, settings.journeys, settings.shop, settings.targets, promises)


def promises_of(settings: Settings, journeys: Container[str]) -> tuple[Promise, ...]:
    """The objectives about these journeys and their steps, as plain numbers."""
    from sre.loadtest.guards.promise import Promise  # noqa: PLC0415

    found = []
    for each in settings.objectives:
        journey, _, step = (each.journey or each.step or "").partition("/")
        if journey and journey in journeys:
            below = None if each.below is None else float(each.below)
            found.append(Promise(each.name, journey, float(each.target), below, step))
    return tuple(found)


def guarded(job: Job, *, production: bool, out: Path) -> list[Watcher]:
    """Everything that may refuse a run into `out`; returns who may stop it while it goes.

    Every command that makes load calls this first, before it makes a folder, for each target.
    Raises as `sre.loadtest.guards.preflight.clear` does.
    """
    from sre.loadtest.guards.preflight import clear, kill_files  # noqa: PLC0415
    from sre.loadtest.guards.watchers import watchers_of  # noqa: PLC0415

    stops = kill_files(job, out)
    clear(job, production=production, stops=stops)
    return watchers_of(job, stops)


def cores() -> int | None:
    """How many cores this process may use; None where the system does not tell."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def folder(out: Path) -> Path:
    """The folder of the reports, made if need be; those of an earlier run are removed.

    Raises UsageError when it cannot be written, Locked when another run writes into it.
    """
    from sre.core.lock import keep_folder  # noqa: PLC0415
    from sre.loadtest.output.files import NAMES  # noqa: PLC0415

    try:
        out.mkdir(parents=True, exist_ok=True)
        keep_folder(out)
        for name in NAMES:
            (out / name).unlink(missing_ok=True)  # an old verdict must not outlive a crash
        for log in out.glob("worker-*.log"):
            log.unlink()
    except OSError as error:
        raise UsageError(f"cannot write reports to {out}: {error.strerror}") from error
    return out


class Progress:
    """A line on the terminal, about once a second."""

    def __init__(self, job: Job, say: object, prefix: str = "") -> None:
        self._job, self._say, self._prefix = job, say, prefix

    def look(self, live: Live) -> str | None:
        """As Watcher.look."""
        if callable(self._say):
            self._say(
                f"{self._prefix}{self._job.name}: {max(0.0, live.at):.0f} of "
                f"{self._job.shape.seconds:.0f} s, {live.started} journeys started, "
                f"{live.in_flight} in flight"
            )
        return None


if TYPE_CHECKING:
    _: Watcher = Progress.__new__(Progress)
