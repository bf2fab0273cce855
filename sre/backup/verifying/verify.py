"""Would this backup save us? Level 0 looks, 1 reads everything, 2 unpacks, 3 runs, 4 uses it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from sre.backup.attest import attest
from sre.backup.audit.doing import audited
from sre.backup.catalogue import Damaged
from sre.backup.facts import publish_verification
from sre.backup.job import Job, Target
from sre.backup.manifest import Manifest
from sre.backup.model import Declared
from sre.backup.opening import missing_objects
from sre.backup.records import Verification
from sre.backup.restoring.chain import Chain, chain_of
from sre.backup.restoring.fetching import kept_faults
from sre.backup.settling import is_about_it, settle
from sre.backup.verifying.findings import Findings
from sre.backup.verifying.judging import Sample
from sre.backup.verifying.levels import go_through
from sre.core.errors import UsageError

__all__ = ["LEVELS", "default_level", "verify", "wanted_level"]

LEVELS = (0, 1, 2, 3, 4)

Progress = Callable[[int], None]


def verify(
    job: Job,
    target: str,
    level: int,
    *,
    sample: Sample | None = None,
    progress: Callable[[Chain], Progress] = lambda _chain: lambda _count: None,
) -> Verification:
    """Verify a database's newest backup, or the one with that id.

    What is wrong is in the result. It is stored beside the backup (signed, where a signing key is
    set), published as a fact, noted in the journal and the audit log. Level 4 without `smoke:`
    is level 3. A `sample` reads that part at level 1, and counts as level 0.

    Raises:
        UsageError: no such database or backup, nobody trusted.
        Transient: the store does not answer: nothing was found out, nothing is recorded.
        Locked: a verification of this database runs already.
    """
    found = job.find(target)
    if sample is not None and level != 1:
        raise UsageError("--sample reads a part of the bytes: that is --level 1")
    asked, level = level, min(level, deepest(found.declared))
    with job.lock("verify", found.place.db):
        store = found.declared.store_name
        with audited(job, store, "verify", found.place.id, f"level {level}") as doing:
            result = _verified(job, found, level, asked, sample, progress)
            doing.result = _outcome(result)
        return result


def _verified(
    job: Job,
    found: Target,
    level: int,
    asked: int,
    sample: Sample | None,
    progress: Callable[[Chain], Progress],
) -> Verification:
    began, at = job.clock.now(), job.clock.wall()
    findings = Findings(job.clock, notes=_shallow(found, asked, level))
    manifest = _look(found, findings)
    if manifest is not None and findings.good and level > 0:
        go_through(job, found, level, findings, progress, sample)
    seconds = round(job.clock.now() - began, 3)
    result = _result(found, manifest, findings, level, at)
    if level >= 3 and findings.good:
        result = dataclasses.replace(result, rto_seconds=seconds)
    return _record(job, found, result)


def _outcome(result: Verification) -> str:
    """For the audit log."""
    if result.passed:
        return f"ok: level {result.level} passed"
    first, *more = (*result.faults, *result.failures)
    others = f" (and {len(more)} more)" if more else ""
    code = result.exit_code
    return f"failed {code} at level {result.level}: {first.object}: {first.problem}{others}"


def _shallow(found: Target, asked: int, level: int) -> list[str]:
    """What is said of a level that this database does not allow."""
    if asked <= level:
        return []
    return [
        f"databases.{found.place.db}.smoke is not set, so that the application did not try the "
        f"copy: this counts as level {level}"
    ]


def _result(
    found: Target, manifest: Manifest | None, findings: Findings, level: int, at: float
) -> Verification:
    return Verification(
        id=found.place.id,
        db=found.place.db,
        level=0 if findings.sampled and findings.good else level,
        at=at,
        phases=findings.phases,
        rpo_seconds=None if manifest is None else _rpo(manifest, findings, at),
        invariants=findings.invariants,
        faults=tuple(findings.faults),
        failures=tuple(findings.failures),
        notes=tuple(findings.notes),
        store=found.declared.store_name,
        replay=findings.replay,
    )


def default_level(job: Job, target: str) -> int:
    """The level that the tier of a database or a backup asks for."""
    declared = job.backups.databases.get(target)
    return wanted_level(declared or job.find(target).declared)


def wanted_level(declared: Declared) -> int:
    """The deepest level that the tier asks for and the database allows."""
    return min(declared.tier.verify.level, deepest(declared))


def deepest(declared: Declared) -> int:
    """4 where the application can try the copy, else 3."""
    return 4 if declared.smoke else 3


def _rpo(manifest: Manifest, findings: Findings, at: float) -> float:
    """How much would have been lost: since the newest moment that is proven to be in the copy."""
    upto = manifest.consistent
    if findings.replay is not None and findings.replay.upto is not None:
        upto = max(upto, findings.replay.upto)
    return round(max(0.0, at - upto), 3)


def _record(job: Job, found: Target, result: Verification) -> Verification:
    publish_verification(job, found.declared, result)
    job.note("verified", id=result.id, level=result.level, passed=result.passed, store=result.store)
    notes = list(result.notes)
    if not is_about_it(result):
        notes.append("it says nothing about the backup as long as these keys are in doubt")
    elif not attest(found.catalogue.storage, job.backups.keys, result):
        notes.append(
            "keys.signing is not set here, or not in keys.trusted: other hosts do not learn of "
            "this verification"
        )
    notes += settle(found.catalogue, job.backups.keys, found.place, result)
    return dataclasses.replace(result, notes=tuple(notes))


def _look(found: Target, findings: Findings) -> Manifest | None:
    """Level 0: the signatures, and every object there at its size, of all that it builds on."""
    with findings.phase("catalogue"):
        try:
            manifests = chain_of(found.catalogue, found.place)
        except Damaged as error:
            findings.faults.append(error.fault)
            return None
        for manifest in manifests:
            findings.faults += missing_objects(found.catalogue.storage, manifest)
        findings.faults += kept_faults(found.declared, manifests[-1], findings.clock)
    return manifests[-1]
