"""What does `sre backup plan` read to say whether the promises are kept?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

from sre.backup.attest import all_of
from sre.backup.catalogue import Catalogue, Damaged
from sre.backup.copying.facts import last_copies
from sre.backup.job import Job
from sre.backup.log.lsn import parse_lsn
from sre.backup.log.reading import LogReader
from sre.backup.manifest import Manifest
from sre.backup.model import Declared
from sre.backup.scheduling.promises import Measured, Planned, added_bytes, judge
from sre.backup.scheduling.tasks import tasks_of
from sre.core.cron import parse_cron
from sre.core.errors import CheckFailed, Transient, UsageError

__all__ = ["plan_backups", "worst"]

_AHEAD = 400 * 86400.0


def plan_backups(job: Job, names: Sequence[str] = ()) -> list[Planned]:
    """Every database against its tier, by what stores and attestations say. Changes nothing.

    Raises UsageError (no such database, nobody trusted).
    """
    chosen = [job.declared(name) for name in names or sorted(job.backups.databases)]
    return [_planned(job, each) for each in chosen]


def worst(plans: Sequence[Planned]) -> int:
    """1 before 4 before 3. (pure)"""
    codes = {each.exit_code for each in plans}
    return next((code for code in (1, 4, 3) if code in codes), 0)


def _planned(job: Job, declared: Declared) -> Planned:
    now, tier = job.clock.wall(), declared.tier
    starts, notes = _next(declared, now)
    if not declared.tier_name:
        notes.append("it has no tier: nothing is promised")
    try:
        catalogue = job.catalogue(declared)
        listed = list(catalogue.listed([declared.name]))
        manifests = [each for each in listed if isinstance(each, Manifest)]
        found = _measured(job, declared, catalogue, manifests, notes)
    except Transient as error:
        unknown = judge(tier, Measured(), now)
        return Planned(declared.name, declared.tier_name, unknown, starts, problem=str(error))
    if len(manifests) < len(listed):
        notes.append(f"{len(listed) - len(manifests)} manifests do not count: sre backup list")
    for store, last in last_copies(job, declared.name).items():
        notes.append(f"{store} was {last['lag_seconds']:.0f}s behind at its last pass")
    try:
        added = added_bytes(tier, manifests)
    except ValueError:
        added = None
    return Planned(
        db=declared.name,
        tier=declared.tier_name,
        promises=judge(tier, found, now),
        next=starts,
        backups=len(manifests),
        stored_bytes=sum(each.stored_bytes for each in manifests),
        added_bytes=added,
        notes=tuple(notes),
    )


def _next(declared: Declared, now: float) -> tuple[dict[str, float], list[str]]:
    """When the printed schedules begin each thing next (UTC)."""
    try:
        tasks = tasks_of([declared])
    except UsageError as error:
        return {}, [str(error)]
    found: dict[str, float] = {}
    for task in tasks:
        if task.cron:
            start = next(iter(parse_cron(task.cron).starts(now, now + _AHEAD, ZoneInfo("UTC"))))
            found[task.argv[-1] if task.argv[1] == "run" else task.argv[1]] = start
    return found, []


def _measured(
    job: Job,
    declared: Declared,
    catalogue: Catalogue,
    manifests: Sequence[Manifest],
    notes: list[str],
) -> Measured:
    newest = max(manifests, key=lambda each: (each.consistent, each.id), default=None)
    if newest is None:
        return Measured()
    restore = _last_restore(catalogue, {each.id: each for each in manifests})
    upto, by_log = newest.consistent, False
    if declared.tier.archive:
        end = _end_of_log(job, catalogue, newest, notes)
        if end is not None and end > upto:
            upto, by_log = end, True
    sizes = {each.id: each.source_bytes for each in manifests}
    return Measured(
        rto=None if restore is None else float(restore["rto_seconds"]),
        rto_bytes=0 if restore is None else sizes[restore["id"]],
        rto_at=0.0 if restore is None else float(restore["at"]),
        bytes=newest.source_bytes,
        upto=upto,
        by_log=by_log,
    )


def _last_restore(catalogue: Catalogue, known: dict[str, Manifest]) -> dict[str, Any] | None:
    """The newest believed verification that restored one of these backups and passed."""
    records = [
        record
        for id_, found in all_of(catalogue).items()
        for record in found
        if id_ in known and record["passed"] and record["rto_seconds"] is not None
    ]
    return max(records, key=lambda each: float(each["at"]), default=None)


def _end_of_log(job: Job, catalogue: Catalogue, newest: Manifest, notes: list[str]) -> float | None:
    """Up to when the log leads from the newest backup without a hole; None: nothing says so."""
    reader = LogReader(catalogue.storage, job.backups.keys, f"v1/{newest.db}/{newest.place}/")
    stop, timeline = newest.dump.get("stop_lsn"), newest.dump.get("timeline")
    if stop is None or timeline is None:
        return None
    if not reader.items:
        notes.append(f"archive: true, and there is no log: sre backup archive {newest.db}")
        return None
    try:
        found = reader.coverage(int(timeline), parse_lsn(str(stop)))
        if found.gaps:
            notes.append(f"the log has a hole from {found.gaps[0].first} on: take a full backup")
        if not found.items:
            return None
        return reader.record(found.items[-1].name).upto
    except (Damaged, CheckFailed, UsageError) as error:
        notes.append(f"the log does not lead on from the newest backup: {error}")
        return None
