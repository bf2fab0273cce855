"""What do the commands share that hold a load test against earlier runs?"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sre.core.errors import UsageError

if TYPE_CHECKING:
    from sre.loadtest.history.examiner import Regressions
    from sre.loadtest.history.store import Baselines
    from sre.loadtest.job import Job

__all__ = [
    "History",
    "baselines_in",
    "baselines_option",
    "history_options",
    "ignore_host_option",
    "note",
    "regressions_of",
]

baselines_option = click.option(
    "--baselines",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the accepted runs; default .sre/baselines/NAME.",
)
ignore_host_option = click.option(
    "--ignore-host",
    is_flag=True,
    help="Compare with runs of another machine too: for those who know that it does not matter.",
)


@dataclass(frozen=True)
class History:
    """What the options said.

    Attributes:
        against: the base address of the build to run side by side with.
    """

    baselines: Path | None
    ignore_host: bool
    against: str | None
    pairs: int | None


def history_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --baselines --ignore-host --against --pairs; passes them as `history: History`."""

    @baselines_option
    @ignore_host_option
    @click.option(
        "--against",
        metavar="URL",
        help="Run the build at URL and the shop side by side, in pairs, and compare them.",
    )
    @click.option(
        "--pairs",
        type=click.IntRange(3, 500),
        help="How many pairs --against runs; default: regression.runs.",
    )
    @functools.wraps(command)
    def wrapper(
        *args: Any,
        baselines: Path | None,
        ignore_host: bool,
        against: str | None,
        pairs: int | None,
        **kwargs: Any,
    ) -> Any:
        if pairs is not None and against is None:
            raise UsageError("--pairs belongs to --against URL")
        history = History(baselines, ignore_host, against, pairs)
        return command(*args, history=history, **kwargs)

    return wrapper


def note(text: str) -> None:
    """A line for people, on stderr."""
    from sre.core.secrets import redactor  # noqa: PLC0415

    click.echo(f"note: {redactor.mask(text)}", err=True)


def baselines_in(folder: Path | None, name: str) -> Baselines:
    """The accepted runs of load test `name`."""
    from sre.loadtest.history.store import Baselines, default_folder  # noqa: PLC0415

    return Baselines(folder or default_folder(name))


def regressions_of(job: Job, workers: int, history: History) -> Regressions:
    """The examiner of `regression:`. Raises IntegrityError when a calibration is damaged."""
    from sre.core.clock import SystemClock  # noqa: PLC0415
    from sre.core.facts import Facts  # noqa: PLC0415
    from sre.loadtest.history.calibration import read_calibration  # noqa: PLC0415
    from sre.loadtest.history.examiner import Regressions  # noqa: PLC0415
    from sre.loadtest.history.key import key_of, same_but_for, tool_versions  # noqa: PLC0415

    return Regressions(
        job,
        baselines_in(history.baselines, job.name),
        key=key_of(job, workers, tool_versions()),
        calibration=read_calibration(job.name, Facts()),
        clock=SystemClock(),
        note=note,
        leave_out=same_but_for(history.ignore_host),
    )
