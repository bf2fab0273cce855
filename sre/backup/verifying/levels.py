"""What does each level above 0 do with a backup?

1 reads every byte; 2 unpacks it and lets the engine check the files; 3 starts it, replays the
archived log and asks the invariants; 4 also lets the application try it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

from sre.backup.catalogue import Damaged
from sre.backup.engine import Elsewhere
from sre.backup.job import Job, Target
from sre.backup.opening import open_volumes
from sre.backup.records import Fault
from sre.backup.restoring.chain import Chain, extract_chain, open_chain
from sre.backup.restoring.fetching import fetch_kept, kept_elsewhere
from sre.backup.verifying.findings import Findings
from sre.backup.verifying.judging import Sample, weakness
from sre.backup.verifying.replay import fetch_log
from sre.backup.verifying.scratch import scratch
from sre.backup.verifying.smoke import run_smoke
from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, MissingExtra
from sre.sql.invariants import evaluate
from sre.sql.session import Session

__all__ = ["go_through"]

_SERVE_SECONDS = 3600.0
_TRIES = 2

Progress = Callable[[int], None]


def go_through(
    job: Job,
    found: Target,
    level: int,
    findings: Findings,
    progress: Callable[[Chain], Progress],
    sample: Sample | None = None,
) -> None:
    """Levels 1 to `level`; what is wrong goes to the findings. Raises Transient."""
    try:
        chain = open_chain(found.catalogue, found.place, job.backups.keys)
    except Damaged as error:
        findings.faults.append(error.fault)
        return
    count = progress(chain)
    if level < 2:
        _read(chain, findings, count, sample)
        if sample is None:
            _let_check(found, chain, findings)
        return
    with scratch() as work:
        folder = work / "data"
        _unpack(chain, folder, findings, count)
        if findings.faults:
            return
        _fetch(found, chain, folder, findings)
        if findings.faults:
            return
        _check_files(found, folder, findings)
        if level < 3:
            return
        fetch_log(job, found, chain.manifest, folder, findings, count)
        if findings.faults:
            return
        _serve(found, folder, work, level, findings)


def _read(chain: Chain, findings: Findings, count: Progress, sample: Sample | None) -> None:
    """Every byte, or those of a part; a bad download is tried once more on the way."""
    read = total = 0
    with findings.phase("download"):
        for sealed in chain.links:
            total += len(sealed.manifest.volumes)
            part = sealed
            if sample is not None:
                part = dataclasses.replace(sealed, manifest=sample.of_manifest(sealed.manifest))
            read += len(part.manifest.volumes)
            if part.manifest.volumes:
                findings.faults += open_volumes(part, progress=count)
    if sample is not None:
        findings.sampled = True
        findings.notes.append(
            f"sample {sample}: {read} of {total} volumes were read, so it counts as level 0"
        )


def _unpack(chain: Chain, folder: Path, findings: Findings, count: Progress) -> None:
    """Into an empty folder; damage counts when a second download has it too."""
    for left in reversed(range(_TRIES)):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        with findings.phase("restore"):
            faults = extract_chain(chain, folder, None, count)
        if not faults or not left:
            findings.faults += faults
            return
        findings.notes.append(f"a first download was bad: {faults[0].object}: {faults[0].problem}")


def _fetch(found: Target, chain: Chain, folder: Path, findings: Findings) -> None:
    """Where another tool keeps the data, that tool brings them."""
    try:
        with findings.phase("restore"):
            fetch_kept(found.declared, chain.manifest, folder, findings.clock)
    except Damaged as error:
        findings.faults.append(error.fault)


def _let_check(found: Target, chain: Chain, findings: Findings) -> None:
    """Where another tool keeps the data, that tool reads it."""
    database = found.declared.database
    if not kept_elsewhere(chain.manifest) or not isinstance(database, Elsewhere):
        return
    with findings.phase("kept"):
        problems = database.check_kept(Deadline.after(_SERVE_SECONDS * 24, findings.clock))
    where = chain.manifest.where.manifest
    findings.faults += [Fault(where, problem) for problem in problems]


def _check_files(found: Target, folder: Path, findings: Findings) -> None:
    deadline = Deadline.after(_SERVE_SECONDS, findings.clock)
    try:
        with findings.phase("check_files"):
            problems = found.declared.database.check_files(folder, deadline)
        findings.failures += [Fault("restored files", problem) for problem in problems]
    except MissingExtra as error:
        findings.notes.append(f"the engine's own check of the files was left out: {error}")


def _serve(found: Target, folder: Path, work: Path, level: int, findings: Findings) -> None:
    declared, deadline = found.declared, Deadline.after(_SERVE_SECONDS, findings.clock)
    try:
        with contextlib.ExitStack() as stack:
            with findings.phase("start" if findings.replay is None else "replay"):
                dsn = stack.enter_context(declared.database.serve(folder, work, deadline))
            with findings.phase("invariants"), Session(dsn) as session:
                findings.invariants = evaluate(declared.invariants, session)
            findings.failures += [
                Fault(f"invariant {each.name}", each.problem)
                for each in findings.invariants
                if not each.passed
            ]
            if level > 3 and findings.good:
                with findings.phase("smoke"):
                    run_smoke(declared.smoke, dsn, work, findings)
    except CheckFailed as error:
        findings.failures.append(Fault("restored server", str(error)))
    if weak := weakness(declared.invariants):
        findings.notes.append(weak)
