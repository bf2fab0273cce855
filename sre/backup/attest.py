"""Where is it kept that a backup was verified, so that other hosts may believe it?

Beside the backup, signed: a verification counts in lists only if a trusted key signed it, since
anybody who may write to the bucket could claim one.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sre.backup.catalogue import Catalogue
from sre.backup.keys import is_believed, sign
from sre.backup.layout import attestation
from sre.backup.manifest import canonical
from sre.backup.model import Keys
from sre.backup.objects import Storage
from sre.backup.records import Verification, Verified
from sre.backup.strict import strict_json

__all__ = ["SCHEMA", "all_of", "attest", "best", "best_of", "failed_at"]

SCHEMA = "sre.attestation/1"


def attest(storage: Storage, keys: Keys, found: Verification) -> bool:
    """Store a signed record of a verification, good or bad; False where nobody would believe it."""
    if keys.signing is None or not is_believed(keys):
        return False
    record = {"schema": SCHEMA, **asdict(found), "passed": found.passed}
    data = canonical(record)
    key = attestation(found.id, found.at, found.level)
    storage.put(f"{key}.sig", sign(data, keys.signing))
    storage.put(key, data)
    return True


def best_of(catalogue: Catalogue, backup: str = "") -> dict[str, Verified]:
    """For each backup (or that one) the deepest verification that passed, and of those the newest.

    A later failure at the same or a lower level takes it away: such a backup is not verified.
    """
    found = {backup: best(each) for backup, each in all_of(catalogue, backup).items()}
    return {backup: verified for backup, verified in found.items() if verified is not None}


def all_of(catalogue: Catalogue, backup: str = "") -> dict[str, list[dict[str, Any]]]:
    """Every verification that is believed, by backup (or of that one)."""
    records: dict[str, list[dict[str, Any]]] = {}
    about = f"v1/attest/{backup}/" if backup else "v1/attest/"
    for key, data in catalogue.signed_objects(about):
        record = _read(key, data)
        if record is not None:
            records.setdefault(str(record["id"]), []).append(record)
    return records


def failed_at(records: list[dict[str, Any]]) -> float | None:
    """When a backup last failed, unless it passed as deeply since. (pure)"""
    failures = [
        r["at"] for r in records
        if not r["passed"]
        and not any(o["passed"] and o["at"] > r["at"] and o["level"] >= r["level"] for o in records)
    ]  # fmt: skip
    return max(failures, default=None)


def best(records: list[dict[str, Any]]) -> Verified | None:
    """The deepest that passed and did not fail since, and of those the newest. (pure)"""
    failed = [(r["at"], r["level"]) for r in records if not r["passed"]]
    good = [
        r for r in records
        if r["passed"] and not any(at > r["at"] and lv <= r["level"] for at, lv in failed)
    ]  # fmt: skip
    if not good:
        return None
    top = max(good, key=lambda r: (r["level"], r["at"]))
    return Verified(int(top["level"]), float(top["at"]), top["rto_seconds"])


def _read(key: str, data: bytes) -> dict[str, Any] | None:
    """Of what a trusted key signed; None when it is about another backup, put here."""
    try:
        record = strict_json(data)
    except ValueError:
        return None
    expected = {"id", "level", "at", "passed", "rto_seconds"}
    about = f"v1/attest/{record.get('id')}/"
    if record.get("schema") != SCHEMA or not expected <= record.keys() or not key.startswith(about):
        return None
    return record
