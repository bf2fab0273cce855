"""What do the commands on backups share: the job, a bar, what a dry run says?"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sre.cli.options import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sre.backup.job import Job

__all__ = [
    "bar",
    "elsewhere",
    "from_option",
    "job_of",
    "metrics_file_option",
    "seconds_of",
    "would",
    "write_metrics_file",
]

metrics_file_option = click.option(
    "--metrics-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also write sre_backup_… for node_exporter's textfile collector.",
)


from_option = click.option(
    "--from", "store", metavar="STORE",
    help="Use this store of sre.yaml, such as one of tier.copies, instead of the database's own.",
)  # fmt: skip


def job_of(run: Run, store: str | None = None) -> Job:
    """What the declaration means to backups; with `store`, every database is looked for there."""
    from sre.backup.job import Job  # noqa: PLC0415  only when it runs
    from sre.backup.model import Backups  # noqa: PLC0415

    settings: Any = run.settings()
    job = Job(Backups(settings.stores, settings.tiers, settings.keys, settings.databases))
    return job.at(store)


@contextlib.contextmanager
def elsewhere(job: Job, store: str | None) -> Iterator[None]:
    """Around work with `job` in `store` (None: the databases' own): where copies may be found.

    A store that does not answer is no end while a tier names copies: the error says where.
    """
    from sre.core.errors import Transient  # noqa: PLC0415

    try:
        yield
    except Transient as error:
        copies = {c for each in job.backups.databases.values() for c in each.tier.copies}
        if store is not None or not copies or "store" not in str(error):
            raise
        named = " or ".join(f"--from {each}" for each in sorted(copies))
        raise Transient(f"{error}; its copies are elsewhere: add {named}") from error


def would(run: Run, what: str, **more: str) -> None:
    """What a dry run says."""
    content = {"schema": "sre.dry-run/1", "would": what, **more}
    run.emit(json.dumps(content, indent=2) if run.format == "json" else f"would {what}")


def write_metrics_file(path: Path | None, job: Job) -> None:
    """Write the textfile, when one was asked for."""
    from sre.backup.metrics import write_metrics  # noqa: PLC0415

    if path is not None:
        write_metrics(path, job.facts)


def seconds_of(option: str, text: str, least: float, why: str = "") -> float:
    """What a duration on the command line says. Raises UsageError, also below `least` seconds."""
    from sre.core.errors import UsageError  # noqa: PLC0415
    from sre.core.units import Duration  # noqa: PLC0415

    try:
        found = float(Duration.parse(text))
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error
    if found < least:
        raise UsageError(f"{option} must be at least {least:g}s{why}")
    return found


class bar:  # noqa: N801  used like a function
    """A progress bar whose length is known only once the work has begun."""

    def __init__(self, label: str, run: Run) -> None:
        from contextlib import ExitStack  # noqa: PLC0415

        self._label, self._run, self._stack = label, run, ExitStack()

    def __enter__(self) -> Callable[[int], Callable[[int], None]]:
        from sre.core.console import progress  # noqa: PLC0415  only when something is drawn

        self._stack.__enter__()
        return lambda total: self._stack.enter_context(
            progress(total, self._label, enabled=self._run.progress)
        )

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)
