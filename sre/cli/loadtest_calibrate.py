"""`sre loadtest calibrate`: which slowdown could be seen here at all?"""

from __future__ import annotations

import json
import signal
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sre.cli.loadtest_history import note
from sre.cli.loadtest_parts import Progress, folder, guarded, job_of
from sre.cli.options import Run, common_options
from sre.core.errors import Interrupted, OutcomeUnknown, Terminated, Untrusted

if TYPE_CHECKING:
    from sre.loadtest.history.calibration import Noise
    from sre.loadtest.history.model import Metric
    from sre.loadtest.history.pairs import Done
    from sre.loadtest.history.record import Record
    from sre.loadtest.job import Job

__all__ = ["calibrate_command"]

_PAIRS = (5, 10, 20)


@click.command("calibrate")
@click.argument("name")
@click.option("--runs", type=click.IntRange(3, 200), default=10, show_default=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep the reports of each run there; they are thrown away otherwise.",
)
@click.option("--workers", type=click.IntRange(1, 256), help="As for `run`.")
@click.option("--i-know-this-is-production", "production", is_flag=True, help="As for `run`.")
@common_options
def calibrate_command(
    *, name: str, runs: int, out: Path | None, workers: int | None, production: bool, run: Run
) -> int:
    """Run load test NAME several times against the same build and measure how much runs differ.

    Says the smallest slowdown that this place can see, and how many runs a smaller one takes. The
    result is stored: `run` then refuses a `worse_than` below the noise.
    """
    from sre.core.console import table  # noqa: PLC0415
    from sre.core.facts import Facts  # noqa: PLC0415
    from sre.loadtest.history.calibration import measured, store_calibration  # noqa: PLC0415
    from sre.loadtest.history.render import calibration_data, calibration_text  # noqa: PLC0415

    job = job_of(run, name)
    with tempfile.TemporaryDirectory(prefix="sre-calibrate-") as scratch:
        place = out or Path(scratch)
        records = _records(
            job, run, place, workers=workers or job.workers_needed, runs=runs, production=production
        )
    noise = measured(records, _metrics(job, records))
    if not noise:
        raise Untrusted(
            "no latency has enough samples in each run to say how much runs differ; run longer"
        )
    _say_missing(job, noise)
    store_calibration(name, records[-1].key, noise, Facts())
    data = calibration_data(name, noise, job.test.regression, _PAIRS)
    run.emit(json.dumps(data, indent=2) if run.format == "json" else calibration_text(data, table))
    return 0


def _metrics(job: Job, records: Sequence[Record]) -> Sequence[Metric]:
    from sre.loadtest.history.sets import standard_metrics  # noqa: PLC0415

    standard = standard_metrics(records, records, "journey")
    declared = job.test.regression.metrics if job.test.regression else ()
    return list({metric.text: metric for metric in (*declared, *standard)}.values())


def _say_missing(job: Job, noise: dict[str, Noise]) -> None:
    for metric in job.test.regression.metrics if job.test.regression else ():
        if metric.is_latency and metric.text not in noise:
            note(f"{metric.text} has too few answers (at least {metric.needs} in each run)")


def _records(
    job: Job,
    run: Run,
    out: Path,
    *,
    workers: int,
    runs: int,
    production: bool,
) -> list[Record]:
    from sre.core.console import status  # noqa: PLC0415
    from sre.loadtest.gate import judged_run  # noqa: PLC0415
    from sre.loadtest.history.pairs import Done, repeated  # noqa: PLC0415
    from sre.loadtest.output.files import write_reports  # noqa: PLC0415

    alone = replace(job, test=replace(job.test, regression=None))
    found: list[Record] = []
    with status(f"{job.name}: run 1 of {runs}", enabled=run.progress) as say:

        def one() -> Done:
            guards = guarded(alone, production=production, out=out)  # they remember their run
            progress = Progress(job, say, f"run {len(found) + 1} of {runs}: ")
            own = folder(out / f"run-{len(found) + 1}")
            report, ran = judged_run(
                alone,
                own,
                workers=workers,
                log_level=run.log_level,
                watchers=[progress, *guards],
            )
            write_reports(report, own)
            return Done(alone, report, ran)

        for number in range(1, runs + 1):
            done, why = repeated(one, f"run {number}", note)
            _stop_if_aborted(done)
            if why:
                raise Untrusted(f"{why}; nothing was stored")
            found.append(done.record)
    return found


def _stop_if_aborted(done: Done) -> None:
    words = done.ran.aborted
    if words is None:
        return
    if done.ran.signal == signal.SIGINT:
        raise Interrupted(f"{words}; nothing was stored")
    if done.ran.signal is not None:
        raise Terminated(f"{words}; nothing was stored")
    raise OutcomeUnknown(f"{words}; nothing was stored")
