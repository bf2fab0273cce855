"""`sre loadtest run --against URL`: is the shop worse than another build, side by side?"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sre.cli.loadtest_examiners import examiners_of
from sre.cli.loadtest_history import History, note
from sre.cli.loadtest_parts import Progress, folder, guarded
from sre.core.errors import UsageError

if TYPE_CHECKING:
    from sre.cli.options import Run
    from sre.loadtest.history.comparison import Compared
    from sre.loadtest.history.pairs import Done, Side
    from sre.loadtest.job import Job
    from sre.loadtest.judge.assemble import Ran
    from sre.loadtest.judge.report import Report
    from sre.settings import Settings

__all__ = ["Both", "both_of", "run_pairs"]


@dataclass(frozen=True)
class Both:
    """The two builds, by side."""

    jobs: Mapping[Side, Job]
    production: bool


def both_of(job: Job, url: str, out: Path, *, production: bool) -> Both:
    """Ask everything that may refuse a run against either build.

    Raises as `guarded` does; UsageError when nothing says what to compare.
    """
    from sre.journey.guard import Guard  # noqa: PLC0415
    from sre.journey.shop import origin_of  # noqa: PLC0415
    from sre.loadtest.history.pairs import moved  # noqa: PLC0415

    if job.test.regression is None:
        raise UsageError(
            f"--against compares what `regression` of load test {job.name!r} names; declare "
            "regression: {metric: JOURNEY.response.p95, worse_than: 10%}"
        )
    try:
        _, host, port = origin_of(url)
    except ValueError as error:
        raise UsageError(f"--against: {error}") from error
    Guard(job.targets.allow, job.shop.base_url).check_name(host, port)
    jobs: dict[Side, Job] = {"candidate": job, "baseline": moved(job, url)}
    for each in jobs.values():
        guarded(each, production=production, out=out)
    return Both(jobs, production)


def run_pairs(
    both: Both, settings: Settings, run: Run, out: Path, workers: int, history: History
) -> tuple[Report, Ran, str]:
    """Run all pairs, and write every report; (overall report, its run, what went wrong)."""
    from sre.core.console import status  # noqa: PLC0415
    from sre.loadtest.history.pairs import interleaved, overall  # noqa: PLC0415
    from sre.loadtest.output.files import write_reports  # noqa: PLC0415

    declared = both.jobs["candidate"].test.regression
    assert declared is not None  # noqa: S101  both_of has seen to it
    pairs = history.pairs or declared.runs
    _check_noise(both.jobs["candidate"], workers, pairs)
    _remove_old(out)
    with status(f"{pairs} pairs: starting", enabled=run.progress) as say:
        one = _runner(both, settings, run, out, (workers, pairs), say)
        outcome = interleaved(pairs, one, note)
    report, ran, compared = overall(outcome, declared)
    trouble = write_reports(report, out) or _write_comparison(compared, out)
    return report, ran, trouble


def _runner(
    both: Both, settings: Settings, run: Run, out: Path, size: tuple[int, int], say: Any
) -> Callable[[int, Side], Done]:
    from sre.loadtest.gate import judged_run  # noqa: PLC0415
    from sre.loadtest.history.pairs import Done, seeded  # noqa: PLC0415
    from sre.loadtest.output.files import write_reports  # noqa: PLC0415

    workers, pairs = size

    def one(pair: int, side: Side) -> Done:
        job = seeded(both.jobs[side], pair)
        own = folder(out / f"pair-{pair + 1}-{side}")
        alone = replace(job, test=replace(job.test, regression=None))  # judged over all pairs
        examiners = examiners_of(alone, settings, own) if side == "candidate" else []
        guards = guarded(alone, production=both.production, out=out)  # they remember their run
        prefix = f"pair {pair + 1} of {pairs}, {side}: "
        report, ran = judged_run(
            alone,
            own,
            examiners=examiners,
            workers=workers,
            log_level=run.log_level,
            watchers=[Progress(job, say, prefix), *guards],
        )
        trouble = write_reports(report, own)
        if trouble:
            note(trouble)
        return Done(alone, report, ran)

    return one


def _check_noise(job: Job, workers: int, pairs: int) -> None:
    from sre.core.clock import SystemClock  # noqa: PLC0415
    from sre.core.facts import Facts  # noqa: PLC0415
    from sre.loadtest.history.calibration import read_calibration  # noqa: PLC0415
    from sre.loadtest.history.examiner import check_noise  # noqa: PLC0415
    from sre.loadtest.history.key import key_of, tool_versions  # noqa: PLC0415
    from sre.loadtest.history.power import Design  # noqa: PLC0415

    if job.test.regression is not None:
        key = key_of(job, workers, tool_versions())
        known = read_calibration(job.name, Facts())
        setting = (Design.PAIRS, pairs)
        check_noise(job.test.regression, known, key, setting, SystemClock(), note)


def _remove_old(out: Path) -> None:
    """Reports of earlier pairs must not stand among the new ones."""
    for old in sorted(out.glob("pair-*-*")):
        if (old / "histograms.json").exists() or (old / "summary.json").exists():
            shutil.rmtree(old, ignore_errors=True)
    (out / "compare.json").unlink(missing_ok=True)


def _write_comparison(compared: Sequence[Compared], out: Path) -> str:
    from sre.core.files import replace_file  # noqa: PLC0415
    from sre.loadtest.history.render import comparison_data  # noqa: PLC0415

    try:
        data = json.dumps(comparison_data(compared), indent=2) + "\n"
        replace_file(out / "compare.json", data.encode(), mode=0o644)
    except OSError as error:
        return f"compare.json could not be written to {out}: {error.strerror}; make room, run again"
    return ""
