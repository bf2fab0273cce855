"""Would this backup save us? Level 0 looks, level 1 reads everything, level 3 runs it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sre.backup.attest import attest
from sre.backup.catalogue import Damaged
from sre.backup.facts import publish_verification
from sre.backup.job import Job, Target
from sre.backup.manifest import Manifest
from sre.backup.opening import missing_objects, open_volumes
from sre.backup.records import Fault, Verification
from sre.backup.restoring.chain import Chain, chain_of, extract_chain, open_chain
from sre.backup.verifying.scratch import scratch
from sre.core.clock import Clock, Deadline
from sre.core.errors import CheckFailed, MissingExtra
from sre.sql.invariants import evaluate
from sre.sql.model import InvariantResult
from sre.sql.session import Session

__all__ = ["LEVELS", "default_level", "verify"]

LEVELS = (0, 1, 3)
_SERVE_SECONDS = 3600.0

Progress = Callable[[int], None]


@dataclass
class _Findings:
    """What has been found so far, and how long each phase took."""

    clock: Clock
    faults: list[Fault] = field(default_factory=list)
    failures: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    phases: dict[str, float] = field(default_factory=dict)
    invariants: tuple[InvariantResult, ...] = ()

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        began = self.clock.now()
        try:
            yield
        finally:
            self.phases[name] = round(self.clock.now() - began, 3)

    @property
    def good(self) -> bool:
        return not self.faults and not self.failures


def verify(
    job: Job,
    target: str,
    level: int,
    *,
    progress: Callable[[Chain], Progress] = lambda _chain: lambda _count: None,
) -> Verification:
    """Verify a database's newest backup, or the one with that id.

    What is wrong is in the result. It is stored beside the backup (signed, where a signing key is
    set), published as a fact and noted in the journal.

    Raises:
        UsageError: no such database or backup, nobody trusted.
        Transient: the store does not answer: nothing was found out, nothing is recorded.
        Locked: a verification of this database runs already.
    """
    found = job.find(target)
    with job.lock("verify", found.place.db):
        began, at = job.clock.now(), job.clock.wall()
        findings = _Findings(job.clock)
        manifest = _look(found, findings)
        if manifest is not None and findings.good and level > 0:
            _read(job, found, level, findings, progress)
        seconds = round(job.clock.now() - began, 3)
        result = Verification(
            id=found.place.id,
            db=found.place.db,
            level=level,
            at=at,
            phases=findings.phases,
            rto_seconds=seconds if level >= 3 and findings.good else None,
            rpo_seconds=None if manifest is None else round(max(0.0, at - manifest.consistent), 3),
            invariants=findings.invariants,
            faults=tuple(findings.faults),
            failures=tuple(findings.failures),
            notes=tuple(findings.notes),
        )
        return _record(job, found, result)


def default_level(job: Job, target: str) -> int:
    """The deepest level here that the tier of a database or a backup asks for."""
    declared = job.backups.databases.get(target)
    tier = (declared or job.find(target).declared).tier
    return max(level for level in LEVELS if level <= tier.verify.level)


def _record(job: Job, found: Target, result: Verification) -> Verification:
    publish_verification(job, found.declared, result)
    job.note("verified", id=result.id, level=result.level, passed=result.passed)
    if attest(found.catalogue.storage, job.backups.keys, result):
        return result
    note = "keys.signing is not set here: other hosts do not learn of this verification"
    return Verification(**{**result.__dict__, "notes": (*result.notes, note)})


def _look(found: Target, findings: _Findings) -> Manifest | None:
    """Level 0: the signatures, and every object there at its size, of all that it builds on."""
    with findings.phase("catalogue"):
        try:
            manifests = chain_of(found.catalogue, found.place)
        except Damaged as error:
            findings.faults.append(error.fault)
            return None
        for manifest in manifests:
            findings.faults += missing_objects(found.catalogue.storage, manifest)
    return manifests[-1]


def _read(
    job: Job,
    found: Target,
    level: int,
    findings: _Findings,
    progress: Callable[[Chain], Progress],
) -> None:
    """Level 1 and above: every byte; from level 3 on into a scratch server."""
    try:
        chain = open_chain(found.catalogue, found.place, job.backups.keys)
    except Damaged as error:
        findings.faults.append(error.fault)
        return
    count = progress(chain)
    if level < 3:
        with findings.phase("download"):
            for sealed in chain.links:
                findings.faults += open_volumes(sealed, progress=count)
        return
    with scratch() as work:
        folder = work / "data"
        folder.mkdir(mode=0o700)
        with findings.phase("restore"):
            findings.faults += extract_chain(chain, folder, None, count)
        if not findings.faults:
            _run(found, folder, work, findings)


def _run(found: Target, folder: Path, work: Path, findings: _Findings) -> None:
    declared, deadline = found.declared, Deadline.after(_SERVE_SECONDS, findings.clock)
    try:
        with findings.phase("check_files"):
            problems = declared.database.check_files(folder, deadline)
        findings.failures += [Fault("restored files", problem) for problem in problems]
    except MissingExtra as error:
        findings.notes.append(f"the engine's own check of the files was left out: {error}")
    try:
        with contextlib.ExitStack() as stack:
            with findings.phase("start"):
                dsn = stack.enter_context(declared.database.serve(folder, work, deadline))
            with findings.phase("invariants"), Session(dsn) as session:
                findings.invariants = evaluate(declared.invariants, session)
    except CheckFailed as error:
        findings.failures.append(Fault("restored server", str(error)))
    if not declared.invariants:
        findings.notes.append("no invariants are declared: that the server starts says little")
    findings.failures += [
        Fault(f"invariant {each.name}", each.problem)
        for each in findings.invariants
        if not each.passed
    ]
