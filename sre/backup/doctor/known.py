"""What may others rely on in a store, as its last examination found it?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from sre.backup.doctor.judge import CAPABILITIES, capability, degraded, exit_code, failed
from sre.backup.doctor.model import Report
from sre.backup.objects import Store
from sre.backup.storage.local import LocalStore
from sre.backup.storage.s3 import S3Store
from sre.core.errors import IntegrityError, Refused
from sre.core.facts import Facts

__all__ = [
    "Capabilities",
    "Examined",
    "capabilities",
    "examined_of",
    "fact_name",
    "lock_or_refuse",
    "many_writers_or_refuse",
    "place_of_store",
    "publish",
]


@dataclass(frozen=True)
class Capabilities:
    """What a store was seen to do. What was never tried, or gave no answer, is False.

    Attributes:
        known: whether this place was ever examined from this machine.
        at: when, in Unix seconds.
        conditional_put: If-None-Match on a put, also in a race; a folder's links.
        conditional_complete: the same when an upload in parts ends.
        renew: If-Match on a put, also in a race.
        object_lock: both modes, and for uploads in parts.
        delete: by these credentials.
        server_date: answers tell the time, and it is within 5 minutes of ours.
    """

    known: bool = False
    at: float = 0.0
    conditional_put: bool = False
    conditional_complete: bool = False
    renew: bool = False
    conditional_delete: bool = False
    object_lock: bool = False
    legal_hold: bool = False
    versioning: bool = False
    sha256: bool = False
    md5: bool = False
    multipart: bool = False
    abort: bool = False
    delete: bool = False
    delete_many: bool = False
    server_date: bool = False


@dataclass(frozen=True)
class Examined:
    """What the fact of a store says."""

    where: str
    at: float
    exit_code: int
    failed: tuple[str, ...] = ()
    degraded: tuple[str, ...] = ()
    works: Mapping[str, bool] = field(default_factory=dict)


def fact_name(store: str) -> str:
    """Where an examination is remembered."""
    return f"backup/store/{store}"


def place_of_store(store: Store) -> str:
    """The place itself, whatever its name in sre.yaml."""
    if isinstance(store, LocalStore):
        return str(store.path.absolute())
    if isinstance(store, S3Store):
        server = store.endpoint or f"aws:{store.region}"
        return f"{server.rstrip('/')}/{store.bucket}/{store.prefix.strip('/')}".rstrip("/")
    return repr(store)


def publish(facts: Facts, report: Report) -> None:
    """Remember a report. A feature that gave no answer this time keeps the earlier one."""
    before: Mapping[str, bool] = {}
    try:
        fact = facts.read(fact_name(report.store))
        if fact is not None and (known := examined_of(fact.value)).where == report.where:
            before = known.works
    except (IntegrityError, KeyError, TypeError, ValueError, AttributeError):
        before = {}
    works: dict[str, bool] = {}
    for name in CAPABILITIES:
        found = capability(report.results, name)
        if found is None and name in before:
            found = before[name]
        if found is not None:
            works[name] = found
    facts.publish(fact_name(report.store), _value(report, works))


def _value(report: Report, works: Mapping[str, bool]) -> dict[str, Any]:
    return {
        "store": report.store,
        "kind": report.kind,
        "where": report.where,
        "at": report.at,
        "seconds": report.seconds,
        "exit_code": exit_code(report),
        "failed": [each.name for each in failed(report)],
        "degraded": [each.name for each in degraded(report)],
        "works": dict(works),
        "checks": {each.name: each.state for each in report.results},
        "measured": dict(report.measured),
    }


def examined_of(fact: Mapping[str, Any]) -> Examined:
    """From the fact. Raises KeyError, TypeError, ValueError, AttributeError on another form."""
    return Examined(
        str(fact["where"]),
        float(fact["at"]),
        int(fact["exit_code"]),
        tuple(str(each) for each in fact["failed"]),
        tuple(str(each) for each in fact["degraded"]),
        {str(name): bool(value) for name, value in fact["works"].items()},
    )


def capabilities(facts: Facts, name: str, store: Store) -> Capabilities:
    """What a declared store is known to do; nothing, when another place bore its name.

    Raises:
        IntegrityError: the fact is damaged.
    """
    fact = facts.read(fact_name(name))
    if fact is None:
        return Capabilities()
    try:
        known = examined_of(fact.value)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise IntegrityError(
            f"the fact {fact_name(name)} is damaged; run: sre backup doctor {name}"
        ) from error
    if known.where != place_of_store(store):
        return Capabilities()
    names = {each.name for each in fields(Capabilities)}
    works = {each: value for each, value in known.works.items() if each in names}
    return Capabilities(known=True, at=known.at, **works)


def many_writers_or_refuse(found: Capabilities, name: str) -> None:
    """For work that several hosts may do at once.

    Raises:
        Refused: conditions are not kept there, or nobody has looked.
    """
    if found.conditional_put:
        return
    why = (
        "does not keep If-None-Match: two writers could overwrite each other"
        if found.known
        else "was never examined from here"
    )
    raise Refused(
        f"the store {name!r} {why}; let one host alone write there (single_writer: true at the "
        f"store), or run: sre backup doctor {name}"
    )


def lock_or_refuse(found: Capabilities, name: str, tier: str, *, waived: bool = False) -> None:
    """For a tier that wants its backups locked.

    Raises:
        Refused: the store cannot lock, or nobody has looked, and nobody waived it.
    """
    if found.object_lock or waived:
        return
    why = "keeps no object lock" if found.known else "was never examined from here"
    raise Refused(
        f"the tier {tier!r} wants a lock, and the store {name!r} {why}: what is written there can "
        f"be deleted; use a bucket with object lock, or say why not, as "
        f"waive: REASON in lock:. See: sre backup doctor {name}"
    )
