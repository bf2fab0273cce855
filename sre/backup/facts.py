"""What do the other wings (status page, checks) learn of backups?

backup/<db>/run       the last attempt, and the last one that was committed
backup/<db>/verified  the last verification, the last that passed at each level, and the last turns
"""

from __future__ import annotations

from typing import Any

from sre.backup.job import Job
from sre.backup.manifest import Manifest
from sre.backup.model import Declared
from sre.backup.records import Verification

__all__ = ["last_run", "last_verified", "publish_attempt", "publish_verification"]

_TURNS = 30
"""So many of the last verifications are remembered, for the rhythm and its turns."""


def last_run(job: Job, db: str) -> dict[str, Any]:
    """The fact `backup/<db>/run`; empty when nothing ran here."""
    return _value(job, f"backup/{db}/run")


def last_verified(job: Job, db: str) -> dict[str, Any]:
    """The fact `backup/<db>/verified`; empty when nothing was verified here."""
    return _value(job, f"backup/{db}/verified")


def publish_attempt(
    job: Job, declared: Declared, began: float, manifest: Manifest | None, exit_code: int
) -> None:
    """After every run, good or bad. The caller holds the lock."""
    ended = job.clock.wall()
    success: dict[str, Any] | None = last_run(job, declared.name).get("success")
    if manifest is not None:
        success = {
            "id": manifest.id,
            "at": manifest.finished,
            "consistent": manifest.consistent,
            "seconds": ended - began,
            "source_bytes": manifest.source_bytes,
            "stored_bytes": manifest.stored_bytes,
        }
    value = {
        "db": declared.name,
        **_targets(declared),
        "attempt": {"at": ended, "seconds": ended - began, "exit_code": exit_code},
        "success": success,
    }
    job.facts.publish(f"backup/{declared.name}/run", value)


def publish_verification(job: Job, declared: Declared, found: Verification) -> None:
    """After every verification, good or bad; what passed before at each level is kept."""
    before = last_verified(job, declared.name)
    record = {
        "id": found.id,
        "level": found.level,
        "at": found.at,
        "passed": found.passed,
        "rto_seconds": found.rto_seconds,
        "rpo_seconds": found.rpo_seconds,
        "store": found.store,
        "upto": None if found.rpo_seconds is None else found.at - found.rpo_seconds,
        "phases": dict(found.phases),
        "invariants": {each.name: each.passed for each in found.invariants},
    }
    passed: dict[str, Any] = dict(before.get("passed") or {})
    if found.passed:
        passed[str(found.level)] = record
    turn = {name: record[name] for name in ("store", "level", "at", "passed", "id")}
    turns = [*(before.get("turns") or []), turn][-_TURNS:]
    value = {
        "db": declared.name,
        **_targets(declared),
        "last": record,
        "passed": passed,
        "turns": turns,
    }
    job.facts.publish(f"backup/{declared.name}/verified", value)


def _targets(declared: Declared) -> dict[str, Any]:
    tier = declared.tier
    return {
        "tier": declared.tier_name,
        "rpo_target": None if tier.rpo is None else float(tier.rpo),
        "rto_target": None if tier.rto is None else float(tier.rto),
        "verify_every": float(tier.verify.every),
        "verify_level": tier.verify.level,
    }


def _value(job: Job, name: str) -> dict[str, Any]:
    fact = job.facts.read(name)
    return {} if fact is None else dict(fact.value)
