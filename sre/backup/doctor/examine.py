"""How is a declared store examined, and what is remembered of it?"""

from __future__ import annotations

from collections.abc import Callable

from sre.backup.doctor.known import place_of_store, publish
from sre.backup.doctor.model import Report
from sre.backup.doctor.runner import Patient, Subject, run_checks
from sre.backup.job import Job
from sre.backup.model import Backups
from sre.backup.objects import Store
from sre.backup.storage.local import LocalStore
from sre.backup.storage.s3 import S3Store
from sre.core.clock import Clock, Deadline
from sre.core.errors import MissingExtra, UsageError

__all__ = ["check_names", "examine", "wanted_of"]

_CLEAN_SHARE, _CLEAN_LEAST = 0.3, 3.0


def examine(
    job: Job,
    name: str,
    *,
    seconds: float = 60.0,
    progress: Callable[[str], None] = lambda _name: None,
) -> Report:
    """Try everything that backups rely on, and publish it as the fact `backup/store/<name>`.

    Raises:
        UsageError: no such store, no such bucket.
        Refused: it may not be written with these credentials.
        Transient: it cannot be reached. What was known of it before stays.
        Locked: another examination of it runs here.
    """
    store = _declared(job.backups, name)
    cleaning = max(_CLEAN_LEAST, seconds * _CLEAN_SHARE)
    deadline = Deadline.after(max(1.0, seconds - cleaning - 1.0), job.clock)
    with job.lock("doctor", name):
        patient = _patient(store, job.clock, deadline)
        kind = "local" if isinstance(store, LocalStore) else "s3"
        wants = wanted_of(job.backups, name)
        subject = Subject(name, kind, patient, wants, deadline, cleaning, job.clock)
        report = run_checks(subject, progress)
        publish(job.facts, report)
        return report


def check_names(job: Job, name: str) -> tuple[str, ...]:
    """What `examine` would try."""
    clock = job.clock
    patient = _patient(_declared(job.backups, name), clock, Deadline.after(60.0, clock))
    return tuple(each.name for each in patient.checks)


def wanted_of(backups: Backups, name: str) -> frozenset[str]:
    """What the tiers of the databases in a store want of it."""
    tiers = (
        each.tier
        for each in backups.databases.values()
        if each.store_name == name or name in each.tier.copies
    )
    return frozenset({"lock"}) if any(tier.lock is not None for tier in tiers) else frozenset()


def _declared(backups: Backups, name: str) -> Store:
    found = backups.stores.get(name)
    if found is None:
        known = ", ".join(sorted(backups.stores)) or "none"
        raise UsageError(f"sre.yaml declares no store {name!r}; known: {known}")
    return found


def _patient(store: Store, clock: Clock, deadline: Deadline) -> Patient:
    where = place_of_store(store)
    if isinstance(store, LocalStore):
        from sre.backup.doctor.local_patient import LocalPatient  # noqa: PLC0415  one kind's own

        return LocalPatient(store, where, clock, deadline)
    if isinstance(store, S3Store):
        try:
            from sre.backup.doctor.s3_patient import S3Patient  # noqa: PLC0415  boto3 is heavy
        except ModuleNotFoundError as error:
            raise MissingExtra(
                f"a store of kind 's3' needs the package {error.name!r}: pip install 'sre[backup]'"
            ) from error
        return S3Patient(store, where, clock, deadline)
    raise UsageError(f"stores of kind {type(store).__name__} cannot be examined")
